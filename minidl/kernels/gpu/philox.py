"""Random numbers on the GPU: Philox 4x32-10, in NumPy to be read, and as a generator that launches
philox.cu.

Four words of 32 bits are a function of a seed and of a counter, and of nothing else, so that every
thread finds its own, and whoever knows the two finds them again on a CPU. (Salmon, Moraes, Dror &
Shaw 2011: Parallel random numbers: as easy as 1, 2, 3.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...device import Array
from . import launch

Shape = int | tuple[int, ...]


# --- the meaning ----------------------------------------------------------------------------------


def philox(counters: np.ndarray, seed: int) -> np.ndarray:
    """The words (n, 4) of uint32 for counters (n,) of uint64."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1 = counters & low, counters >> high
    c2 = c3 = np.zeros_like(counters)
    for i in range(10):
        k0 = np.uint64((seed + i * 0x9E3779B9) % 2**32)
        k1 = np.uint64(((seed >> 32) + i * 0xBB67AE85) % 2**32)
        a, b = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (b >> high) ^ c1 ^ k0, b & low, (a >> high) ^ c3 ^ k1, a & low
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def uniforms(words: np.ndarray, dtype: Any) -> np.ndarray:
    """Numbers in [0, 1) from words (n, 4): (4 n,) of float32, or (2 n,) of float64."""
    if dtype == np.float32:
        return (words >> np.uint32(8)).reshape(-1).astype(np.float32) * np.float32(2.0**-24)
    return (_pairs(words) >> np.uint64(11)).astype(dtype) * 2.0**-53


def _pairs(words: np.ndarray) -> np.ndarray:
    """Two words in one: (2 n,) of uint64."""
    pairs = words.astype(np.uint64).reshape(-1, 2)
    return pairs[:, 0] << np.uint64(32) | pairs[:, 1]


def normals(words: np.ndarray, dtype: Any) -> np.ndarray:
    """Return numbers of mean 0 and deviation 1, two from two uniform ones (Box & Muller 1958)."""
    u, v = uniforms(words, dtype).reshape(-1, 2).T
    radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v.astype(np.float64)
    both = radius * np.cos(angle), radius * np.sin(angle)
    return np.stack(both, axis=-1).reshape(-1).astype(dtype)


def integers(words: np.ndarray, low: int, high: int) -> np.ndarray:
    """Whole numbers from low to high - 1 from words (n, 4): (4 n,) of int64, or (2 n,) where there
    are more than 2^16 of them: some are likelier than others, by 2^-16 at most."""
    if high - low > 2**16:
        return low + (_pairs(words) % np.uint64(high - low)).astype(np.int64)
    share = words.reshape(-1).astype(np.uint64) * np.uint64(high - low) >> np.uint64(32)
    return low + share.astype(np.int64)


# --- on the GPU -----------------------------------------------------------------------------------


class Generator:
    """Draws arrays on the GPU, by those methods of NumPy's Generator that the models use.

    The counter of the next draw is in the GPU's memory. So a captured graph draws other numbers
    each time that it is replayed, as its launches would have.
    """

    def __init__(self, seed: int) -> None:
        seed %= 2**64
        self._seed = seed - 2**64 if seed >= 2**63 else seed  # the same bits, as an int64
        self._counter = launch.empty((1,), np.uint64)
        self._move(keep=False, by=0)

    def random(self, size: Shape, dtype: Any = np.float64) -> Array:
        """Uniform numbers in [0, 1)."""
        return self._floats("random_floats<T, false>", size, dtype)

    def standard_normal(self, size: Shape, dtype: Any = np.float64) -> Array:
        """Numbers of mean 0 and deviation 1."""
        return self._floats("random_floats<T, true>", size, dtype)

    def integers(self, low: int, high: int | None = None, size: Shape = 1) -> Array:
        """Whole numbers from low to high - 1, or from 0 to low - 1; int64.

        Raises ValueError for more than 2^48 of them, which would not be equally likely, or none.
        """
        low, high = (0, low) if high is None else (low, high)
        if not 0 < high - low <= 2**48:
            raise ValueError(f"integers: from {low} to below {high}, expected 1 to 2^48 numbers")
        out = launch.empty(size, np.int64)
        at_once = 4 if high - low <= 2**16 else 2
        self._draw("random_integers", out, at_once, int(low), int(high - low))
        return out

    def _floats(self, kernel: str, size: Shape, dtype: Any) -> Array:
        out = launch.empty(size, np.dtype(dtype))
        launch.check_types("random numbers", out)
        self._draw(kernel, out, 16 // out.dtype.itemsize)
        return out

    def _draw(self, kernel: str, out: Array, at_once: int, *arguments: int) -> None:
        """Fill `out`. at_once: the numbers that are made of four words."""
        counts = math.ceil(out.size / at_once)
        launch.launch(
            kernel, out.dtype, launch.blocks(counts),
            out, out.size, *arguments, self._seed, self._counter,
        )  # fmt: skip
        self._move(keep=True, by=counts)

    def _move(self, *, keep: bool, by: int) -> None:
        launch.launch("move_counter", self._counter.dtype, (1,), self._counter, int(keep), by)
