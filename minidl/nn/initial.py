"""First values of weights, float32, drawn from an explicit generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def glorot(
    rng: np.random.Generator, shape: tuple[int, ...], inputs: int, outputs: int
) -> np.ndarray:
    """Uniform in +-sqrt(6 / (inputs + outputs)): what comes to a unit, what it goes to (Glorot &
    Bengio 2010)."""
    check_generator("weights", rng)
    bound = math.sqrt(6 / (inputs + outputs))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Normal, of mean 0."""
    check_generator("weights", rng)
    return rng.normal(0.0, std, shape).astype(np.float32)


def check_generator(what: str, rng: Any) -> None:
    """Raise TypeError for a seed, for NumPy's old RandomState and for its module."""
    if not hasattr(rng, "integers"):
        raise TypeError(
            f"{what}: rng is of type {type(rng).__name__}, expected a generator such as"
            " np.random.default_rng(0)"
        )
