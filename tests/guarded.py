"""Memory for arrays between pages that no one may touch: a read or a write outside of an array ends
the process. For processes of their own, on Linux."""

from __future__ import annotations

import ctypes
import functools
import importlib
import mmap
from types import ModuleType
from typing import Any

import numpy as np

from minidl.kernels.cpu import memory

PAGE, system = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
kept: list[mmap.mmap] = []  # until `clear`
SMALL = {  # so small that every array is cut in many
    ("convolution", "PIXELS"): 16, ("quads", "QUADS"): 4, ("quads", "SUMMED"): 4,
    ("quads", "ROOM"): 1, ("dense", "BLOCK"): 1 << 12, ("halving", "LEAST"): 1,
    ("halving", "FULL"): 1, ("convolution", "WORTH"): 1, ("quads", "WORTH"): 1,
    ("dense", "WORTH"): 1, ("dense", "GRAIN"): 1, ("quads", "GRAIN"): 1,
}  # fmt: skip


def guarded(values: np.ndarray, at_end: bool) -> np.ndarray:
    """A copy, in order of memory, that ends, or begins, where a forbidden page does."""
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
    """Like `memory.empty`, guarded, of NaN: no number may be used before it is written."""
    return guarded(np.full(shape, np.nan, dtype), at_end)


def everywhere(at_end: bool) -> None:
    """Let all memory that kernels work in be guarded from now on."""
    memory.empty = functools.partial(empty, at_end=at_end)


def clear() -> None:
    """Give back what has been guarded, once no array is left in it."""
    kept.clear()


def choose(small: bool) -> None:
    """Let kernels cut their arrays in many, or in what they take by themselves."""
    for (file, name), value in (SMALL if small else ORIGINAL).items():
        setattr(_file(file), name, value)


def _file(name: str) -> ModuleType:
    return importlib.import_module(f"minidl.kernels.cpu.{name}")


ORIGINAL = {(file, name): getattr(_file(file), name) for file, name in SMALL}
