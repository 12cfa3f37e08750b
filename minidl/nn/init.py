"""First values of weights, float32, drawn from an explicit generator."""

from __future__ import annotations

import math
from collections.abc import Mapping
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


class Zeros(np.random.Generator):
    """Stands in for a generator where a network is built to be filled from a file: zeros.

    most: how many numbers the file holds. A network that asks for more is no network of that file,
    and is refused with a ValueError before there is memory for it.
    """

    def __init__(self, most: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = most

    @classmethod
    def for_state(cls, state: Mapping[str, np.ndarray]) -> Zeros:
        """Return zeros for a network whose `state()` this is."""
        return cls(sum(array.size for array in state.values()))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return self._some(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return self._some(size)

    def _some(self, shape: tuple[int, ...]) -> np.ndarray:
        self.left -= math.prod(shape)
        if self.left < 0:
            raise ValueError("a network of more parameters than the file has")
        return np.zeros(shape, np.float32)
