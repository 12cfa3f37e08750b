"""Solutions of lesson 11."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def attainable(
    operations: float, moved: float, peak: float, bandwidth: float
) -> tuple[float, float, str]:
    """Both limits hold; the longer one counts."""
    by_arithmetic, by_memory = operations / peak, moved / bandwidth
    seconds = max(by_arithmetic, by_memory)
    bound = "arithmetic" if by_arithmetic >= by_memory else "memory"
    return seconds, operations / seconds, bound


def blocked_matmul(
    a: np.ndarray,
    b: np.ndarray,
    tile: int,
    multiply: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.matmul,
) -> np.ndarray:
    """Slices that reach over the end are cut there by NumPy."""
    y = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for i in range(0, a.shape[0], tile):
        for j in range(0, b.shape[1], tile):
            for k in range(0, a.shape[1], tile):
                left, right = a[i : i + tile, k : k + tile], b[k : k + tile, j : j + tile]
                y[i : i + tile, j : j + tile] += multiply(left, right)
    return y


def share(n: int, grid: int, block: int, block_index: int, thread_index: int) -> list[int]:
    """Do the same as start() and stride() of the library's CUDA source."""
    return list(range(block_index * block + thread_index, n, grid * block))


def _without_the_rest(a: Any, b: Any, tile: int, multiply: Any = np.matmul) -> np.ndarray:
    y = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    M, N, K = (size // tile * tile for size in (*y.shape, a.shape[1]))
    y[:M, :N] = blocked_matmul(a[:M, :K], b[:K, :N], tile, multiply)
    return y


def _one_run_each(n: int, grid: int, block: int, block_index: int, thread_index: int) -> list[int]:
    each, me = -(-n // (grid * block)), block_index * block + thread_index
    return list(range(min(n, me * each), min(n, (me + 1) * each)))


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "attainable": [
        lambda o, m, peak, bandwidth: (o / peak + m / bandwidth, peak, "arithmetic"),
        lambda o, m, peak, bandwidth: (o / peak, peak, "arithmetic"),
        lambda o, m, peak, bandwidth: (*attainable(o, m, peak, bandwidth)[:2], "memory"),
    ],
    "blocked_matmul": [
        lambda a, b, tile, multiply=np.matmul: multiply(a, b),  # one large tile
        _without_the_rest,
    ],
    "share": [
        _one_run_each,
        lambda n, grid, block, i, t: list(range(i * block + t, n, block)),
        lambda n, grid, block, i, t: list(range(t * grid + i, n, grid * block)),
        lambda n, grid, block, i, t: list(range(i * block + t, n + 1, grid * block)),
    ],
}
