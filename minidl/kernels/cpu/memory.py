"""Large arrays out of memory that has been used before.

The system hands out a large array as fresh pages, each of which it must find and clear at the first
touch: for an array of 32 MB this takes as long as the arithmetic on it. A training step makes the
same shapes again and again, so memory goes back to a shelf when the last array on it is gone, and
the next array of that size takes it from there. CuPy has such a pool built in.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy as np

SMALLEST = 1 << 18  # bytes; below, the C library keeps shelves of its own
LINE = 64  # bytes of a cache line, at which blocks begin: a vector then never lies across two
KEPT = 1 << 29  # bytes on the shelves at most

_shelves: dict[int, list[np.ndarray]] = {}  # size -> blocks of that many bytes
_on_shelves = 0
_lock = threading.RLock()  # again by the same thread: a block may come back at any allocation


class _Block(np.ndarray):
    """Bytes, on a shelf or on lease."""


class _Lease(np.ndarray):
    """A view of a block that arrays are made in: the last of them to go takes it along, and the
    block back to its shelf. (NumPy lets an array hold what it is a view of, and not what that in
    turn is a view of, where the two are of different classes, neither of them its own.)"""

    base: np.ndarray

    def __del__(self) -> None:
        if _shelve is not None:  # at the end of the program, when modules are emptied
            _shelve(self.base)


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A C-contiguous array of any content, like np.empty."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, buffer=_take(_rounded(size)).view(_Lease))


def empty_like(x: np.ndarray) -> np.ndarray:
    """An array of x's shape and type, C-contiguous even where x is not."""
    return empty(x.shape, x.dtype)


def for_loop(x: np.ndarray) -> np.ndarray:
    """x, or a copy if it is not in order of memory, or may not be written: to Numba that is another
    type, for which all would be compiled once more."""
    return x if x.flags.carray else np.array(x, order="C")


def _rounded(size: int) -> int:
    """Up by an eighth at most, so that nearly equal sizes share a shelf."""
    step = 1 << max(12, size.bit_length() - 4)
    return -(-size // step) * step


def _take(size: int) -> np.ndarray:
    global _on_shelves
    with _lock:
        shelf = _shelves.get(size)
        if shelf:
            _on_shelves -= size
            return shelf.pop()
    block = np.empty(size + LINE, np.uint8).view(_Block)
    start = -block.ctypes.data % LINE
    return block[start : start + size]


def _shelve(block: np.ndarray) -> None:
    global _on_shelves
    if block.size > KEPT:
        return
    with _lock:
        if _on_shelves + block.size > KEPT:  # sizes of the past make room
            _shelves.clear()
            _on_shelves = 0
        _shelves.setdefault(block.size, []).append(block)
        _on_shelves += block.size


def _forget() -> None:
    """After a fork the thread that held the lock may not exist."""
    global _lock, _on_shelves
    _lock, _on_shelves = threading.RLock(), 0
    _shelves.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
