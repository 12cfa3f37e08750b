"""Memory for arrays between forbidden pages: an access outside of an array ends the process.


Use it in a process of its own, on Linux.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
from typing import Any

import numpy as np

from minidl.kernels.cpu import tuning
from minidl.kernels.cpu.runtime import buffer_pool

PAGE, system = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
kept: list[mmap.mmap] = []  # until `clear`
SMALL = {  # so small that every array is cut into many blocks
    "DIRECT_MIN_PIXELS": 16, "WINOGRAD_MIN_TILES": 4, "WINOGRAD_MIN_TILES_GRAD_W": 4,
    "WINOGRAD_MAX_SCRATCH": 1, "GEMM_BLOCK_BYTES": 1 << 12, "STRIDE2_MIN_TILES": 1,
    "STRIDE2_MIN_PANELS": 1, "MIN_MULTIPLIES": 1, "GRAIN_SIZE": 1,
}  # fmt: skip
ORIGINAL = {name: getattr(tuning, name) for name in SMALL}


def guarded(values: np.ndarray, at_end: bool) -> np.ndarray:
    """Return a C-contiguous copy that ends, or begins, at a forbidden page."""
    pages = max(1, -(-values.nbytes // PAGE)) * PAGE
    room = mmap.mmap(-1, pages + 2 * PAGE)
    kept.append(room)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    for page in (start, start + PAGE + pages):
        assert system.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) == 0
    first = PAGE + (pages - values.nbytes if at_end else 0)
    array = np.frombuffer(room, values.dtype, values.size, first).reshape(values.shape)
    array[...] = values
    return array


def empty(shape: tuple[int, ...], dtype: Any, at_end: bool) -> np.ndarray:
    """Return a guarded array of NaN instead of `buffer_pool.empty`: it shows unwritten numbers."""
    return guarded(np.full(shape, np.nan, dtype), at_end)


def everywhere(at_end: bool) -> None:
    """Guard all memory of kernels from now on."""
    buffer_pool.empty = functools.partial(empty, at_end=at_end)


def clear() -> None:
    """Free guarded memory, once no array uses it."""
    kept.clear()


def choose(small: bool) -> None:
    """Let kernels use many small blocks, or blocks of their own size."""
    for name, value in (SMALL if small else ORIGINAL).items():
        setattr(tuning, name, value)
