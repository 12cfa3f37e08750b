"""Where arrays live: the CPU (NumPy) or the GPU (CuPy). Beside this file, those of `kernels.gpu`
alone import CuPy by name.

A `Device` is passed explicitly to whoever creates arrays; everything else follows from the arrays
themselves. CuPy is imported when a GPU is asked for, never before: its import takes seconds, and
its wheel installs on machines that have no GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray: the two answer the same protocol


class DeviceError(RuntimeError):
    """A device that is not there, or arrays of two devices in one operation."""


class Device:
    """A place for arrays: `name` is "cpu" or "gpu", `xp` its array library."""

    def __init__(self, name: str, xp: Any) -> None:
        self.name, self.xp = name, xp

    def __repr__(self) -> str:
        return f"Device({self.name!r})"

    def put(self, array: Array) -> Array:
        """The array on this device; no copy where it is there already."""
        return to_cpu(array) if self.name == "cpu" else self.xp.asarray(array)

    def generator(self, seed: int) -> Any:
        """A source of random numbers that live here: same seed, same numbers."""
        if self.name == "cpu":
            return np.random.default_rng(seed)
        # found by name: it launches kernels, and kernels stand on this file
        return importlib.import_module("minidl.kernels.gpu.philox").Generator(seed)

    def follow(self, rng: np.random.Generator) -> Any:
        """A generator of this device that goes on from `rng`: on the CPU rng itself, elsewhere one
        that a number drawn from rng seeds. So the state of rng alone tells how to go on."""
        return rng if self.name == "cpu" else self.generator(int(rng.integers(2**62)))

    def free_memory(self) -> float:
        """Bytes that are free on the GPU; the CPU's are not counted, and have no end."""
        return math.inf if self.name == "cpu" else self.xp.cuda.runtime.memGetInfo()[0]

    def synchronize(self) -> None:
        """Wait until everything asked of this device is done."""
        if self.name == "gpu":
            self.xp.cuda.get_current_stream().synchronize()


CPU = Device("cpu", np)


def choose(name: str = "auto") -> Device:
    """The device called "cpu" or "gpu"; "auto" is the GPU where there is one.

    Raises DeviceError for a GPU that is not there, with what to do about it, and ValueError for any
    other name.
    """
    if name not in ("auto", "cpu", "gpu"):
        raise ValueError(f"device {name!r}: expected auto, cpu or gpu")
    if name == "cpu":
        return CPU
    missing = why_no_gpu()
    if missing and name == "gpu":
        raise DeviceError(f"device gpu: {missing}; use --device cpu, or mend that")
    if missing:
        return CPU
    import cupy

    return Device("gpu", cupy)


def why_no_gpu() -> str:
    """What stands between this process and a GPU, in one line; empty if nothing does."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed ({pip_install(driver_cuda())})"
    try:
        import cupy

        if not cupy.cuda.is_available():
            takes = driver_cuda()
            if takes is None:
                return "CuPy finds no CUDA device (is the NVIDIA driver installed?)"
            return (
                f"CuPy finds no CUDA device, though the driver takes CUDA {takes[0]}.{takes[1]}"
                f" (is a GPU visible? is CuPy for that CUDA? {pip_install(takes)})"
            )
    except Exception as error:  # a broken driver can raise almost anything
        return f"CuPy does not start: {(str(error) or repr(error)).splitlines()[0]}"
    return ""


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the NVIDIA driver takes, such as (12, 4); None without a driver."""
    version = ctypes.c_int()
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        if driver.cuDriverGetVersion(ctypes.byref(version)) or version.value <= 0:
            return None
    except (OSError, AttributeError):
        return None
    return version.value // 1000, version.value % 1000 // 10


def pip_install(takes: tuple[int, int] | None) -> str:
    """The command that installs CuPy for a driver, and CUDA's libraries where nobody has yet."""
    if takes is None:
        return "pip install 'minidl[cuda12]' or 'minidl[cuda13]'"
    if takes < (12, 0):
        return f"first a newer driver: this one takes CUDA {takes[0]}.{takes[1]}, CuPy needs 12"
    libraries = "" if os.environ.get("CUDA_PATH") or shutil.which("nvcc") else "-ctk"
    return f"pip install 'minidl[cuda{min(takes[0], 13)}{libraries}]'"


_recording: ContextVar[bool] = ContextVar("recording", default=False)


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Within, kernels are recorded for a graph, or tried before they are: see `minidl.graph`."""
    before = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(before)


def is_recording() -> bool:
    """Whether only what can be recorded may be launched."""
    return _recording.get()


def tf32() -> bool:
    """Whether the GPU's products of float32 may go through its tensor cores, which round each
    factor to ten bits: CuPy's own switch, the environment variable CUPY_TF32=1. Off by default.

    Only cuBLAS heeds it. Our own products, which graphs and transposed batches take, are float32.
    """
    return os.environ.get("CUPY_TF32", "0") not in ("", "0")


def of(array: Array) -> str:
    """ "cpu" or "gpu": where this array lives. Numbers and lists live on the CPU."""
    return _of_kind(type(array))  # type: ignore[arg-type]


@functools.cache
def _of_kind(kind: Any) -> str:
    return "gpu" if kind.__module__.partition(".")[0] == "cupy" else "cpu"


def to_cpu(array: Array) -> np.ndarray:
    """The array as a NumPy array; copied only if it lives on the GPU."""
    return array.get() if of(array) == "gpu" else np.asarray(array)


def check_same(what: str, arrays: Sequence[Array]) -> None:
    """Raise DeviceError unless all arrays of at least one axis live on one device."""
    placed = [a for a in arrays if getattr(a, "ndim", 0)]
    if len(set(map(type, placed))) > 1 and len(set(map(of, placed))) > 1:
        where = ", ".join(
            f"input {i} {np.shape(a)} on the {of(a)}" for i, a in enumerate(arrays) if np.shape(a)
        )
        raise DeviceError(f"{what}: inputs on two devices: {where}; move them with Device.put")


def generator_state(generator: np.random.Generator) -> str:
    """The whole state of a NumPy generator as text, for a checkpoint."""
    return json.dumps(generator.bit_generator.state)


def set_generator_state(generator: np.random.Generator, state: str) -> None:
    """Put a generator back to where `generator_state` found it. Raises ValueError for a text that
    is no state of such a generator."""
    try:
        generator.bit_generator.state = json.loads(state)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a generator's state ({error})") from error
