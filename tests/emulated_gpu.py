"""A GPU in software: the CUDA kernels built by g++, and launched as CuPy would launch them.

`cuda/shim.h` defines how blocks and threads run. The Python side of `minidl.kernels.gpu` runs
unchanged, with its grids, order and types of arguments; NumPy's arrays replace CuPy's.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl.kernels.gpu import gemm, launch

SHIM = Path(__file__).parent / "cuda" / "shim.h"
COMPILER = os.environ.get("CXX", "g++")
OPTIONS = ["-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-ffp-contract=off"]
SANITIZED = "MINIDL_SANITIZED"  # set if the process runs under AddressSanitizer
if os.environ.get(SANITIZED):
    OPTIONS += ["-fsanitize=address", "-fno-omit-frame-pointer"]


def missing() -> str:
    """Return why there is no emulation here, or nothing."""
    return "" if shutil.which(COMPILER) else f"no C++ compiler: {COMPILER} is not installed"


class Emulator:
    """The kernels `names` of a CUDA source, compiled into `folder`. Raises CalledProcessError."""

    def __init__(self, folder: Path, source: str, names: Sequence[str]) -> None:
        entries = ",\n".join(f'{{"{n}", &Call<&{n}>::run, &Call<&{n}>::signature}}' for n in names)
        code = f'#include "{SHIM}"\n{source}\nconst Entry entries[] = {{{entries}, {{}}}};\n'
        (folder / "kernels.cpp").write_text(code, "utf-8")
        command = [COMPILER, *OPTIONS, "kernels.cpp", "-o", "kernels.so"]
        subprocess.run(command, cwd=folder, check=True)
        self.library = ctypes.CDLL(str(folder / "kernels.so"))
        self.library.signature.restype = ctypes.c_char_p
        self.backwards = False  # the order of the threads
        self.launched: list[str] = []

    def function(self, name: str) -> Callable[..., None]:
        """Return function(grid, block, arguments), like CuPy's get_function."""
        signature = self.library.signature(name.encode())
        assert signature is not None, f"no kernel {name}"
        return functools.partial(self._launch, name, signature.decode().split())

    def _launch(
        self, name: str, expected: list[str], grid: Any, block: Any, arguments: Sequence[Any]
    ) -> None:
        words = [_word(a) for a in arguments]
        as_pointers = [
            e if e[0] == "p" and type(a) is int and a == 0 else w
            for e, w, a in zip(expected, words, arguments, strict=False)
        ]
        assert len(words) == len(expected), f"{name} takes {expected}, got {words}"
        assert as_pointers == expected, f"{name} takes {expected}, got {words}"
        assert 1 <= len(grid) <= 3 and len(block) == 1 and min(grid) > 0
        assert all(isinstance(n, int) for n in (*grid, *block))
        held = [_held(a) for a in arguments]
        sizes = (ctypes.c_uint * 3)(*(*grid, 1, 1)[:3])
        places = (ctypes.c_void_p * len(held))(*(ctypes.addressof(h) for h in held))
        self.launched.append(name)
        fault = self.library.launch(name.encode(), sizes, block[0], self.backwards, places)
        assert not fault, f"{name}: not all threads of a block reach the same barriers"


def _is_value(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.names is not None


def _word(argument: Any) -> str:
    """Return the kind of an argument, in the words of shim.h."""
    if _is_value(argument):
        assert argument.size == 1
        return f"s{argument.dtype.itemsize}"
    if isinstance(argument, bool | int | float):
        return "f8" if isinstance(argument, float) else "i8"
    assert hasattr(argument, "dtype"), f"CuPy launches no {type(argument)}"
    return f"p{'f' if argument.dtype.kind == 'f' else 'i'}{argument.dtype.itemsize}"


def _held(argument: Any) -> Any:
    """Return an argument as CuPy passes it: memory with the number, struct or address."""
    if _is_value(argument):
        return ctypes.create_string_buffer(argument.tobytes(), argument.dtype.itemsize)
    if isinstance(argument, float):
        return ctypes.c_double(argument)
    if isinstance(argument, int):
        return ctypes.c_longlong(argument)
    assert argument.flags.c_contiguous or argument.ndim in (2, 3)
    return ctypes.c_void_p(launch.address(argument))


def empty(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Return an array of NaN, so that numbers that were never written are seen."""
    array = np.empty(shape, dtype)
    array.view(np.uint8).reshape(-1)[:] = 0xFF  # NaN in either float type
    return array


def stand_in(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """Let `minidl.kernels.gpu` run on the emulator, with NumPy's arrays for CuPy's."""
    monkeypatch.setattr(launch, "function", emulator.function)
    monkeypatch.setattr(launch, "empty", empty)
    monkeypatch.setattr(launch, "contiguous", np.ascontiguousarray)
    monkeypatch.setattr(launch, "address", lambda array: array.ctypes.data)
    monkeypatch.setattr(launch, "numbers", lambda array: array)
    monkeypatch.setattr(gemm, "is_recording", lambda: True)  # so that cuBLAS is not asked
