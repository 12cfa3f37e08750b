"""Large arrays out of memory that has been used before.

The system hands out a large array as fresh pages, each of which it must find and clear at the first
touch: for an array of 32 MB this takes as long as the arithmetic on it. A training step makes the
same shapes again and again, so memory goes back to a shelf when the last array on it is gone, and
the next array of that size takes it from there. CuPy has such a pool built in.
"""

from __future__ import annotations

import collections
import math
import weakref
from typing import Any

import numpy as np

SMALLEST = 1 << 18  # bytes; below, the C library keeps shelves of its own
LINE = 64  # bytes of a cache line, at which blocks begin: a vector then never lies across two
KEPT = 1 << 29  # bytes on the shelves at most, once the next array is asked for


class _Block(np.ndarray):
    """Bytes, on a shelf or on lease."""

    loan: _Loan


class _Lease(np.ndarray):
    """A view of a block that arrays are made in: it goes with the last of them. (NumPy lets an
    array hold what it is a view of, and not what that in turn is a view of, where the two are of
    different classes, neither of them its own.)"""


class _Loan(weakref.ref):
    """A weak reference to a lease, which calls the shelf's `append` when the lease is gone.

    Compiled C alone runs then. Of an interrupt (Ctrl-C) that reaches Python code in a finaliser
    Python prints a note, and goes on as if nobody had asked it to stop.
    """

    __slots__ = ("block",)
    block: np.ndarray


_shelves: dict[int, collections.deque[_Loan]] = {}  # size -> loans of so many bytes that have ended


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A C-contiguous array of any content, like np.empty."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, buffer=_take(_rounded(size)))


def empty_like(x: np.ndarray) -> np.ndarray:
    """An array of x's shape and type, C-contiguous even where x is not."""
    return empty(x.shape, x.dtype)


def writable_contiguous(x: np.ndarray) -> np.ndarray:
    """x, or a copy if it is not in order of memory, or may not be written: to Numba that is another
    type, for which all would be compiled once more."""
    return x if x.flags.carray else np.array(x, order="C")


def _rounded(size: int) -> int:
    """Up by an eighth at most, so that nearly equal sizes share a shelf."""
    step = 1 << max(12, size.bit_length() - 4)
    return -(-size // step) * step


def _take(size: int) -> np.ndarray:
    """A lease of so many bytes. After an interrupt anywhere in here the block is free, no more."""
    if size not in _shelves:
        _shelves[size] = collections.deque(maxlen=KEPT // size)
    shelf = _shelves[size]
    if sum(size * len(shelf) for size, shelf in list(_shelves.items())) > KEPT:
        for other in list(_shelves.values()):  # sizes of the past make room
            other.clear()
    try:
        block = shelf.pop().block
    except IndexError:
        block = np.empty(size + LINE, np.uint8).view(_Block)
    start = -block.ctypes.data % LINE
    inside: Any = block[start : start + size]
    lease = inside.view(_Lease)
    inside.loan = loan = _Loan(lease, shelf.append)  # the lease holds `inside`, and that the loan
    loan.block = block
    return lease
