"""First values of weights, float32, drawn from an explicit generator."""

from __future__ import annotations

import math

import numpy as np


def glorot(
    rng: np.random.Generator, shape: tuple[int, ...], inputs: int, outputs: int
) -> np.ndarray:
    """Uniform in +-sqrt(6 / (inputs + outputs)): what comes to a unit, what it goes to (Glorot &
    Bengio 2010)."""
    bound = math.sqrt(6 / (inputs + outputs))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Normal, of mean 0."""
    return rng.normal(0.0, std, shape).astype(np.float32)
