"""Exercises of lesson 11. Test your answers with `pytest -m lesson11`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def attainable(
    operations: float, moved: float, peak: float, bandwidth: float
) -> tuple[float, float, str]:
    """What a kernel can reach under the roof.

    operations: how many it does; moved: the bytes that come and go; peak in operations a second,
    bandwidth in bytes a second. Returns the least seconds it can take, the operations a second that
    this means, and "memory" or "arithmetic", by which it is bound. If both take equally long, it is
    bound by "arithmetic".
    """
    raise NotImplementedError


def blocked_matmul(
    a: np.ndarray,
    b: np.ndarray,
    tile: int,
    multiply: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.matmul,
) -> np.ndarray:
    """a (M, K) times b (K, N), tile by tile: a block of threads' work, one after the other.

    All products are made by calling multiply on tiles of at most tile x tile numbers, and added up.
    M, K and N need not be multiples of tile. The result has a's type.
    """
    raise NotImplementedError


def share(n: int, grid: int, block: int, block_index: int, thread_index: int) -> list[int]:
    """The numbers 0 <= i < n that one thread works on, in order.

    There are grid x block threads. Thread 0 of block 0 begins at 0, thread 1 at 1, and so on
    through all blocks, so that neighbours work side by side; then each goes on by the number of
    all threads.
    """
    raise NotImplementedError
