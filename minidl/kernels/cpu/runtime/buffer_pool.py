"""A caching allocator for large arrays.

The system hands out a large array as fresh pages, each of which it must find and clear at the first
touch: for an array of 32 MB this takes as long as the arithmetic on it. A training step allocates
the same shapes again and again. So when the last array on a block of memory is gone, the block goes
to a free list, and the next array of that size takes it from there. CuPy has such a pool built in.
"""

from __future__ import annotations

import collections
import math
import weakref
from typing import Any

import numpy as np

MIN_BYTES = 1 << 18  # of the smallest pooled array; the C library keeps free lists of smaller ones
LINE = 64  # bytes of a cache line, where blocks begin: no vector then lies across two lines
MAX_FREE_BYTES = 1 << 29  # in the free lists, whenever the next array is asked for


class _Block(np.ndarray):
    """A block of memory, in a free list or in use."""

    release: _Release


class _Lease(np.ndarray):
    """A view of a block, which the arrays on the block hold as their base. It dies with the last.

    Blocks and leases need classes of their own: NumPy shortens a chain of views of one class, and
    would make the block itself the base of every array.
    """


class _Release(weakref.ref):
    """A weak reference to a lease, which calls the free list's `append` when the lease is gone.

    Only compiled C runs then. If an interrupt (Ctrl-C) reached Python code in a finaliser, Python
    would print a note and go on.
    """

    __slots__ = ("block",)
    block: np.ndarray


_free_lists: dict[int, collections.deque[_Release]] = {}  # size in bytes -> blocks that are free


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an uninitialised C-contiguous array, like np.empty."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < MIN_BYTES:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, buffer=_lease(_rounded(size)))


def empty_like(x: np.ndarray) -> np.ndarray:
    """Return an uninitialised array of x's shape and type, C-contiguous even if x is not."""
    return empty(x.shape, x.dtype)


def writable_contiguous(x: np.ndarray) -> np.ndarray:
    """Return x as a writable C-contiguous array, copied if needed.

    Numba would compile another specialisation for any other layout.
    """
    return x if x.flags.carray else np.array(x, order="C")


def _rounded(size: int) -> int:
    """Return the size, rounded up by at most an eighth: nearly equal sizes share a free list."""
    step = 1 << max(12, size.bit_length() - 4)
    return -(-size // step) * step


def _lease(size: int) -> np.ndarray:
    """Return a lease of `size` bytes. An interrupt within this function leaves the block free."""
    if size not in _free_lists:
        _free_lists[size] = collections.deque(maxlen=MAX_FREE_BYTES // size)
    free = _free_lists[size]
    if sum(size * len(blocks) for size, blocks in list(_free_lists.items())) > MAX_FREE_BYTES:
        for blocks in list(_free_lists.values()):  # sizes that are no longer in use
            blocks.clear()
    try:
        block = free.pop().block
    except IndexError:
        block = np.empty(size + LINE, np.uint8).view(_Block)
    start = -block.ctypes.data % LINE
    inside: Any = block[start : start + size]
    lease = inside.view(_Lease)
    inside.release = release = _Release(lease, free.append)  # the lease holds `inside`
    release.block = block
    return lease
