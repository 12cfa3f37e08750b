"""Compilation of the loops of this folder by Numba.

Three things decide whether such a loop is fast: `error_model="numpy"` (Python's own check for
division by zero stops vectorisation), an exponential without branches or calls, and no number of
a wider type (`0.5 * x` is float64; hence `T(0.5)`, with T the type of the array).

Numba keeps compiled code on disk, and compiles anew what stands in a file that has changed, but not
what calls it from another file, nor for another tile (MINIDL_SIMD). So every loop bears a mark of
all files of this folder and of that setting in its name.
Where a file on that disk is damaged, or cannot be written, a loop is compiled in memory.
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
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags, compile_extra
from numba.core.cpu_options import FastMathOptions
from numba.core.typed_passes import NopythonRewrites

intrinsic: Any = extending.intrinsic  # calls pass one argument less than the function names

# The floating-point liberties that vectorisation needs; sums keep their order ('reassoc' is
# absent).
FAST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FAST}
MARK = zlib.crc32(
    b"".join(p.read_bytes() for p in sorted(Path(__file__).parents[1].rglob("*.py")))
    + os.environ.get("MINIDL_SIMD", "").encode()
)


class _Uncollected(event.Listener):
    """Python looks for no garbage while something is compiled: most of what Numba makes is to stay,
    and is looked through again and again, for 7 % of the time."""

    def __init__(self) -> None:
        self.depth, self.wanted = 0, False

    def on_start(self, event: event.Event) -> None:
        if not self.depth:
            self.wanted = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: event.Event) -> None:
        self.depth -= 1
        if not self.depth and self.wanted:
            gc.enable()


event.register("numba:compile", _Uncollected())


class _Whole(JITCodeLibrary):
    """Machine code of a loop and of all that it calls. Numba optimises every function by itself,
    then all together, twice; what comes out is as fast if it is once, and there sooner by a
    tenth."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _Part(_Whole):
    """A library for functions that only compiled code calls.

    Their callers link and optimise them, so they need no machine code of their own. That saves an
    eighth of the time.
    """

    def _optimize_final_module(self) -> None:
        """Do nothing: the caller's library optimises."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """Return an object that ignores the settings of the wrapper for Python, which does not
        exist.
        """
        return self

    def set_env(self, name: str, env: Any) -> None:
        pass


class _OfWhole(Compiler):
    """Numba's compiler, with another library to put code into, and without the pass that looks for
    arithmetic on whole arrays: there is none here."""

    library: type[_Whole] = _Whole

    def define_pipelines(self) -> list[Any]:
        codegen, name = self.state.targetctx.codegen(), self.state.func_id.func_qualname
        if self.state.library is None:  # or it is a part of what is being compiled
            self.state.library = self.library(codegen, name)
            self.state.library.enable_object_caching()
        pipelines = super().define_pipelines()
        for passes in pipelines:
            passes.passes = [one for one in passes.passes if one[0] is not NopythonRewrites]
        return pipelines


class _OfPart(_OfWhole):
    library = _Part


class _Sealed(IndexDataCacheFile):
    """Files of compiled code that end with a checksum: a flipped bit in a machine's instructions
    would be noticed by nobody else."""

    def _dump(self, obj: Any) -> bytes:
        data = super()._dump(obj)
        return data + zlib.crc32(data).to_bytes(4, "little")

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
            raise ValueError(f"{name} is damaged")
        return super()._load_data(name)


class _Cache(FunctionCache):
    """Numba's cache of a loop, where any error means that the loop is compiled in memory."""

    told = False

    def __init__(self, loop: Callable[..., Any]) -> None:
        super().__init__(loop)
        file = self._cache_file
        self._cache_file = _Sealed(self.cache_path, self._impl.filename_base, file._source_stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # damaged files raise almost anything
            self.tell(error)
            with contextlib.suppress(Exception):
                self.flush()  # so that what is compiled now can be kept
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            self.tell(error)

    @staticmethod
    def tell(error: Exception) -> None:
        """Say once in a process, in one line, that the cache failed."""
        if not _Cache.told:
            _Cache.told = True
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"minidl: compiling anew, as Numba's cache failed ({reason})", file=sys.stderr)


def jit(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's `njit`, its result kept on disk where there is a folder that can be written."""
    loop.__qualname__ = f"{loop.__name__}_{MARK:08x}"
    made: Any = njit(pipeline_class=_OfWhole, **OPTIONS)(loop)
    try:
        made._cache = _Cache(loop)
    except RuntimeError as error:  # neither the package's folder nor the user's can be written
        _Cache.tell(error)
    return made


def device_function(loop: Callable[..., Any]) -> Any:
    """Return a function that only compiled loops call; its code is kept with theirs.

    It has no wrapper for calls from Python, which would have to be compiled too. It is not compiled
    again for each literal number in a call.
    """
    options: dict[str, Any] = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made = njit(pipeline_class=_OfPart, **options)(loop)
    template = made.get_call_template
    made.get_call_template = lambda kinds, named: template(map(types.unliteral, kinds), named)
    return made


def into_library(loop: Callable[..., Any], kinds: tuple, context: Any) -> Any:
    """Numba's result of compiling a loop for arguments of these types, as a part of what is being
    compiled: made into machine code once, with all the rest of it."""
    flags: Any = Flags()
    flags.nrt = flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model, flags.fastmath = "numpy", FastMathOptions(FAST)
    library = context.active_code_library
    return compile_extra(
        context.typing_context, context, loop, kinds, None, flags, {}, library, _OfWhole
    )
