"""Tools to measure on a GPU: a clock, limits, and a message where there is no GPU.

Kernels are asked for, not waited for: a clock of the CPU would time the asking. PyTorch is run on
the same GPU, in the same stream, and with the same precision: `minidl.device.tf32` tells which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import device, gpu_support, kernels
from minidl.cuda_graph import captured
from minidl.device import Device

from . import harness

if TYPE_CHECKING:
    from .training import Work

PRODUCT, COPY = 8192, 1 << 28  # side of the matrices, float32 numbers of the copy


class Clock:
    """Seconds by the GPU's own events: reading it waits for all that was asked before."""

    def __init__(self, place: Device) -> None:
        self._cuda = place.xp.cuda
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


def choose() -> Device:
    """The GPU. Ends the program, which has then measured nothing and says why, without one."""
    missing = gpu_support.why_no_gpu()
    if missing:
        print(f"nothing is measured on a GPU: {missing}")
        raise SystemExit(0)
    return device.choose("gpu")


def header(place: Device) -> str:
    """The GPU, its CUDA, and the precision of products."""
    runtime = place.xp.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"].decode()
    versions = f"CuPy {place.xp.__version__}, CUDA {runtime.runtimeGetVersion()}"
    return f"{name}, {versions}, products in {'TF32' if device.tf32() else 'float32'}"


def same_precision() -> None:
    """Let PyTorch's products and convolutions round as ours do, and choose their algorithms by
    measuring."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = device.tf32()
    torch.backends.cudnn.allow_tf32 = device.tf32()
    torch.backends.cudnn.benchmark = True


def peaks(
    place: Device, clock: harness.Clock, *, side: int = PRODUCT, count: int = COPY, rounds: int = 5
) -> dict[str, float]:
    """The most that large work reaches here: GFLOP/s of a matrix product, GB/s of a copy."""
    a, b = (place.put(m) for m in np.random.default_rng(0).random((2, side, side), np.float32))
    source = place.put(np.ones(count, np.float32))
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
    place: Device,
    clock: harness.Clock,
    torch: bool,
    compiled: bool,
    rounds: int,
) -> Iterator[harness.Result]:
    """The work as it is written and, where a part of it can be recorded, as a CUDA graph."""
    references: dict[str, harness.Call] = {}
    if torch:
        from . import torch_models

        references |= torch_models.modes(
            work.theirs, pictures=work.pictures, compiled=compiled, device="cuda"
        )
    ours = {f"{name}, gpu": partial(work.ours, place)}
    if "record" in signature(work.ours).parameters:
        ours[f"{name}, gpu graph"] = partial(work.ours, place, captured)
    for title, make in ours.items():
        result = harness.compare(
            title, make(), references, threads=1, group=group, rounds=rounds, clock=clock
        )
        yield replace(result, figures={"samples/s": 1e3 * work.batch / result.ours_ms})
