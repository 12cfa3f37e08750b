"""Tools to measure on a GPU: a clock, limits, and a message where there is no GPU.

Kernels run asynchronously: a clock of the CPU would time only their launch. PyTorch runs on the
same GPU, in the same stream, and with the same precision, that of `minidl.device.tf32`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from minidl import gpu_support, kernels
from minidl.cuda_graph import captured
from minidl.device import Device, choose, tf32

from . import harness
from .work import Work

MATRIX_SIDE, COPY_NUMBERS = 8192, 1 << 28  # of the peaks' product and copy, float32


class Clock:
    """A clock of the GPU's own events, in seconds: reading it waits for all earlier work."""

    def __init__(self, device: Device) -> None:
        self._cuda = device.xp.cuda
        self._now, self._last = 0.0, self._event()

    def __call__(self) -> float:
        event = self._event()
        self._now += self._cuda.get_elapsed_time(self._last, event) / 1e3
        self._last = event
        return self._now

    def _event(self) -> Any:
        event = self._cuda.Event()
        event.record()
        event.synchronize()
        return event


def find_or_exit() -> Device:
    """Return the GPU. Without one, print the reason and end the program."""
    missing = gpu_support.why_no_gpu()
    if missing:
        print(f"nothing is measured on a GPU: {missing}")
        raise SystemExit(0)
    return choose("gpu")


def header(device: Device) -> str:
    """Return a line on the GPU, its CUDA, and the precision of products."""
    runtime = device.xp.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"].decode()
    versions = f"CuPy {device.xp.__version__}, CUDA {runtime.runtimeGetVersion()}"
    return f"{name}, {versions}, products in {'TF32' if tf32() else 'float32'}"


def same_precision() -> None:
    """Set PyTorch to our precision of products, and let it choose its algorithms by measuring."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = tf32()
    torch.backends.cudnn.allow_tf32 = tf32()
    torch.backends.cudnn.benchmark = True


def peaks(
    device: Device,
    clock: harness.Clock,
    *,
    side: int = MATRIX_SIDE,
    count: int = COPY_NUMBERS,
    rounds: int = 5,
) -> dict[str, float]:
    """Return the peaks of this GPU: GFLOP/s of a large product, GB/s of a large copy."""
    a, b = (device.put(m) for m in np.random.default_rng(0).random((2, side, side), np.float32))
    source = device.put(np.ones(count, np.float32))
    target = source.copy()

    def copy() -> None:
        target[...] = source

    product = harness.best(lambda: kernels.matmul(a, b), rounds, clock)
    copied = harness.best(copy, rounds, clock)
    return {"GFLOP/s": 2 * side**3 / product / 1e9, "GB/s": 2 * source.nbytes / copied / 1e9}


def timed(
    name: str,
    group: str,
    work: Work,
    *,
    device: Device,
    clock: harness.Clock,
    torch: bool,
    compiled: bool,
    rounds: int,
) -> Iterator[harness.Result]:
    """Yield results of the work and, if a part of it can be recorded, of its CUDA graph."""
    references: dict[str, harness.Call] = {}
    if torch:
        from . import torch_models

        references |= torch_models.modes(
            work.theirs, pictures=work.pictures, compiled=compiled, device="cuda"
        )
    ours = {f"{name}, gpu": partial(work.ours, device)}
    if "record" in signature(work.ours).parameters:
        ours[f"{name}, gpu graph"] = partial(work.ours, device, captured)
    for title, make in ours.items():
        result = harness.compare(
            title, make(), references, threads=1, group=group, rounds=rounds, clock=clock
        )
        yield replace(result, figures={"samples/s": 1e3 * work.batch / result.ours_ms})
