"""Compilation of the loops of this folder by Numba.

Three things decide whether such a loop is fast: `error_model="numpy"` (Python's own check for
division by zero stops vectorisation), an exponential without branches or calls, and no number of
a wider type (`0.5 * x` is float64; hence `T(0.5)`, with T the type of the array).

Numba keeps compiled code on disk. It compiles a function again if its file has changed, but not if
a function that it calls from another file has changed, nor for another tile (MINIDL_SIMD). So every
loop's name ends with a hash of all files of this folder and of that setting.
Where a file of the cache is damaged or cannot be written, a loop is compiled in memory.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import extending, njit, types
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile

intrinsic: Any = extending.intrinsic  # a call leaves out the first argument, `typing`

# The floating-point liberties that vectorisation needs; sums keep their order ('reassoc' is
# absent).
FAST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FAST}
SOURCE_HASH = zlib.crc32(
    b"".join(p.read_bytes() for p in sorted(Path(__file__).parents[1].rglob("*.py")))
    + os.environ.get("MINIDL_SIMD", "").encode()
)


class _NoGarbageCollection(event.Listener):
    """Disable the garbage collector while Numba compiles: almost nothing that it allocates is
    garbage, and scanning it costs 7 % of the time."""

    def __init__(self) -> None:
        self.depth, self.was_enabled = 0, False

    def on_start(self, event: event.Event) -> None:
        if not self.depth:
            self.was_enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: event.Event) -> None:
        self.depth -= 1
        if not self.depth and self.was_enabled:
            gc.enable()


event.register("numba:compile", _NoGarbageCollection())


class _Sealed(IndexDataCacheFile):
    """Files of compiled code that end with a checksum: nothing else would notice a flipped bit in
    the instructions."""

    def _dump(self, obj: Any) -> bytes:
        data = super()._dump(obj)
        return data + zlib.crc32(data).to_bytes(4, "little")

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
            raise ValueError(f"{name} is damaged")
        return super()._load_data(name)


class _Cache(FunctionCache):
    """Numba's cache of a loop. After any error the loop is compiled in memory."""

    reported = False

    def __init__(self, loop: Callable[..., Any]) -> None:
        super().__init__(loop)
        file = self._cache_file
        self._cache_file = _Sealed(self.cache_path, self._impl.filename_base, file._source_stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # damaged files raise almost anything
            self.report(error)
            with contextlib.suppress(Exception):
                self.flush()  # so that what is compiled now can be kept
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            self.report(error)

    @staticmethod
    def report(error: Exception) -> None:
        """Print one line, once per process, that the cache failed."""
        if not _Cache.reported:
            _Cache.reported = True
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"minidl: compiling anew, as Numba's cache failed ({reason})", file=sys.stderr)


def cache_folder() -> Path | None:
    """Return the folder of Numba's cache, or None if it cannot be written."""
    try:
        return Path(FunctionCache(cache_folder).cache_path)
    except RuntimeError:
        return None


def jit(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loop compiled by Numba, its machine code kept on disk."""
    loop.__qualname__ = f"{loop.__name__}_{SOURCE_HASH:08x}"
    compiled: Any = njit(**OPTIONS)(loop)
    try:
        compiled._cache = _Cache(loop)
    except RuntimeError as error:  # neither the package's folder nor the user's can be written
        _Cache.report(error)
    return compiled


def device_function(loop: Callable[..., Any]) -> Any:
    """Return a compiled function for calls from compiled loops. Its code is kept with theirs.

    It has no wrapper for calls from Python, which would have to be compiled too. It is not compiled
    again for each literal number in a call.
    """
    options = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made: Any = njit(**options)(loop)
    template = made.get_call_template
    made.get_call_template = lambda kinds, named: template(map(types.unliteral, kinds), named)
    return made
