"""Devices: the CPU (arrays of NumPy) and the GPU (arrays of CuPy).

A `Device` is passed to code that creates arrays. All other code takes the device from its arrays.
CuPy is imported only when a GPU is asked for: its import takes seconds, and its wheel installs on
machines that have no GPU. Only this file, gpu_support.py and `kernels.gpu` import CuPy.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import gpu_support

Array = Any  # numpy.ndarray or cupy.ndarray: the two answer the same protocol


class DeviceError(RuntimeError):
    """A device is missing, or one operation got arrays of two devices."""


class Device:
    """A device: `name` is "cpu" or "gpu", `xp` is its array library."""

    def __init__(self, name: str, xp: Any) -> None:
        self.name, self.xp = name, xp

    def __repr__(self) -> str:
        return f"Device({self.name!r})"

    def put(self, array: Array) -> Array:
        """Return the array on this device. An array that is there already is not copied."""
        return to_cpu(array) if self.name == "cpu" else self.xp.asarray(array)

    def free_memory(self) -> float:
        """Return the number of free bytes on the GPU; infinity for the CPU."""
        return math.inf if self.name == "cpu" else self.xp.cuda.runtime.memGetInfo()[0]

    def synchronize(self) -> None:
        """Wait until the device has finished all its work."""
        if self.name == "gpu":
            self.xp.cuda.get_current_stream().synchronize()


CPU = Device("cpu", np)


def choose(name: str = "auto") -> Device:
    """Return the device "cpu" or "gpu"; "auto" is the GPU if there is one, else the CPU.

    Raises DeviceError if the GPU is missing, with the reason, and ValueError for another name.
    """
    if name not in ("auto", "cpu", "gpu"):
        raise ValueError(f"device {name!r}: expected auto, cpu or gpu")
    if name == "cpu":
        return CPU
    missing = gpu_support.why_no_gpu()
    if missing and name == "gpu":
        raise DeviceError(f"device gpu: {missing}; use --device cpu, or repair that")
    if missing:
        return CPU
    import cupy

    return Device("gpu", cupy)


_recording: ContextVar[bool] = ContextVar("recording", default=False)


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Mark the block as recorded for a CUDA graph; see `minidl.cuda_graph`."""
    before = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(before)


def is_recording() -> bool:
    """Return whether a CUDA graph is being recorded."""
    return _recording.get()


def tf32() -> bool:
    """Return whether cuBLAS may use TF32 on the GPU's tensor cores, which keep ten bits.

    CuPy's environment variable CUPY_TF32=1 switches it on. It does not concern the products of
    `kernels/gpu/gemm.cu`, which are computed in float32.
    """
    return os.environ.get("CUPY_TF32", "0") not in ("", "0")


def of(array: Array) -> str:
    """Return the device of an array, "cpu" or "gpu". Numbers and lists are on the CPU."""
    return _of_kind(type(array))  # type: ignore[arg-type]


@functools.cache
def _of_kind(kind: Any) -> str:
    return "gpu" if kind.__module__.partition(".")[0] == "cupy" else "cpu"


def to_cpu(array: Array) -> np.ndarray:
    """Return the array as a NumPy array. Only an array on the GPU is copied."""
    return array.get() if of(array) == "gpu" else np.asarray(array)


def check_same(what: str, arrays: Sequence[Array]) -> None:
    """Raise DeviceError unless all arrays with at least one axis are on one device."""
    placed = [a for a in arrays if getattr(a, "ndim", 0)]
    if len(set(map(type, placed))) > 1 and len(set(map(of, placed))) > 1:
        where = ", ".join(
            f"input {i} {np.shape(a)} on the {of(a)}" for i, a in enumerate(arrays) if np.shape(a)
        )
        raise DeviceError(f"{what}: inputs on two devices: {where}; move them with Device.put")
