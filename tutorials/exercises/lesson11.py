"""Exercises of lesson 11. Test your answers with `pytest -m lesson11`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def attainable(
    operations: float, moved: float, peak: float, bandwidth: float
) -> tuple[float, float, str]:
    """Return the limits of a kernel: (seconds, operations a second, "memory" or "arithmetic").

    operations: the number of its operations; moved: the bytes that it moves; peak in operations a
    second, bandwidth in bytes a second. The result is the shortest possible time, the operations a
    second in this time, and the limit that decides. If both limits take equally long, it is
    "arithmetic".
    """
    raise NotImplementedError


def blocked_matmul(
    a: np.ndarray,
    b: np.ndarray,
    tile: int,
    multiply: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.matmul,
) -> np.ndarray:
    """Return a (M, K) times b (K, N), computed tile by tile.

    Call multiply on tiles of at most tile x tile numbers, and add up the products.
    M, K and N need not be multiples of tile. The result has a's type.
    """
    raise NotImplementedError


def share(n: int, grid: int, block: int, block_index: int, thread_index: int) -> list[int]:
    """Return the numbers 0 <= i < n that one thread works on, in order.

    There are grid x block threads. Thread 0 of block 0 begins at 0, thread 1 at 1, and so on
    through all blocks, so that neighbours work side by side. Then each thread moves on by the total
    number of threads.
    """
    raise NotImplementedError
