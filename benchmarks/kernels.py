"""Every kernel beside its NumPy reference and, if it has the operation, PyTorch.

python -m benchmarks.kernels [--threads N | --device gpu] [--only NAME ...] [--quick] ...

Products and convolutions are measured in GFLOP/s of the sum that defines them, all others in GB/s
of their inputs and outputs. Both are also given as a share of the peak in the same run, that of a
large matrix product or copy. The share can exceed 1 for arrays in a cache, and for algorithms that
save multiplications.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from minidl import kernels
from minidl.device import CPU, Device
from minidl.kernels import reference

from . import gpu, harness, options
from .harness import copied
from .report import report

ELEMENTS, CHANNELS = "element by element", "sums and channels"
PRODUCTS, CONVOLUTIONS, PATCHES = "products", "convolutions", "patches"
MATRIX_SIDE, COPY_NUMBERS = 2048, 1 << 26  # of the peaks' product and copy, float32


class Row(NamedTuple):
    """A kernel's arguments; flops: multiplications and additions, 0 if bytes are measured."""

    group: str
    arguments: tuple[Any, ...]
    flops: float = 0.0


def rows(scale: int = 1) -> dict[str, Row]:
    """Return {kernel: its row}, at the sizes of the papers' networks divided by `scale`."""
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    def positive(*shape: int) -> np.ndarray:
        return rng.random(shape, dtype=np.float32)

    N, C, O, S = 8, 64 // scale, 128 // scale, 64 // scale  # pictures (N, S, S, C), O channels out
    patches, parameters = (512 // scale, 1280), (1 << 20) // scale
    x, g, y = numbers(*patches), numbers(*patches), positive(*patches)
    p, dp, m, v = (*(numbers(parameters) for _ in range(3)), positive(parameters))
    pictures, w, b = numbers(N, S, S, C), numbers(3, 3, C, O), numbers(O)
    half, pad = numbers(N, S // 2, S // 2, O), (1, 1, 1, 1)
    up_w, c, more = numbers(3, 3, O, C), numbers(C), numbers(N, S, S, C)
    side, positions = 1280 // scale, np.arange(0, 512 - 16, 3 * scale)
    picture = np.zeros((2, 512, 512))
    overlapping = numbers(len(positions) ** 2, 16, 16)
    window = positive(16, 16)
    flops = 2.0 * 9 * C * O * half[..., 0].size
    doubled = 4 * flops
    return {
        "sigmoid": Row(ELEMENTS, (x,)),
        "sigmoid_grad": Row(ELEMENTS, (g, y)),
        "tanh_grad": Row(ELEMENTS, (g, y)),
        "leaky_relu": Row(ELEMENTS, (x, 0.2)),
        "leaky_relu_grad": Row(ELEMENTS, (g, x, 0.2)),
        "add": Row(ELEMENTS, (x, g)),
        "squared_distance_grad": Row(ELEMENTS, (numbers(), x, g)),
        "adam": Row(ELEMENTS, ([p], [dp], [m], [v], 1e-3, 0.9, 0.999, 1e-8)),
        "matmul": Row(PRODUCTS, (numbers(500, side), numbers(side, side)), 1000.0 * side * side),
        "fold": Row(PATCHES, (*picture, overlapping, positions, positions, window)),
        "conv2d": Row(CONVOLUTIONS, (pictures, w, b, 2, pad), flops),
        "conv2d_grad_x": Row(CONVOLUTIONS, (half, w, (S, S), 2, pad), flops),
        "conv2d_grad_w": Row(CONVOLUTIONS, (pictures, half, (3, 3), 2, pad), flops),
        "upsample_conv2d": Row(CONVOLUTIONS, (half, up_w, c), doubled),
        "upsample_conv2d_grad_x": Row(CONVOLUTIONS, (pictures, up_w), doubled),
        "upsample_conv2d_grad_w": Row(CONVOLUTIONS, (half, pictures), doubled),
        "squared_distance": Row(CHANNELS, (x, g)),
        "channel_sum": Row(CHANNELS, (pictures,)),
        "moments": Row(CHANNELS, (pictures, 1.0)),
        "normalize": Row(CHANNELS, (pictures, c, c, c, 1.0)),
        "batch_norm_sums": Row(CHANNELS, (more, pictures, c, 1.0)),
        "batch_norm_grad": Row(CHANNELS, (more, pictures, c, c, c, c, 1.0)),
    }


def references(
    name: str, arguments: tuple[Any, ...], *, torch: bool, device: Device = CPU
) -> dict[str, harness.Call]:
    """Return the functions that are timed beside a kernel.

    Each has arrays of its own, since some kernels work in place.
    """
    found: dict[str, harness.Call] = {}
    if device is CPU:
        found["NumPy's meaning"] = partial(getattr(reference, name), *copied(arguments))
    if torch:
        from .torch_kernels import KERNELS

        if name in KERNELS:
            on = "cpu" if device is CPU else "cuda"
            found |= KERNELS[name](*copied(arguments), device=on)
    return found


def _bytes(value: Any) -> float:
    """Return the number of bytes of all arrays in a value."""
    if isinstance(value, tuple | list):
        return sum(_bytes(v) for v in value)
    return getattr(value, "nbytes", 0)


def measured(
    name: str,
    row: Row,
    *,
    threads: int,
    torch: bool,
    rounds: int,
    peaks: dict[str, float],
    device: Device = CPU,
    clock: harness.Clock = time.perf_counter,
) -> harness.Result:
    """Time the kernel beside its references, and compute its share of the peak."""
    arguments = copied(row.arguments, device.put) if device is not CPU else row.arguments
    ours = partial(getattr(kernels, name), *arguments)
    moved = _bytes(row.arguments) + _bytes(ours())
    if name == "adam":  # writes what it has read, but for the gradient
        moved *= 7 / 4
    result = harness.compare(
        name, ours, references(name, row.arguments, torch=torch, device=device),
        threads=threads, group=row.group, rounds=rounds, clock=clock,
    )  # fmt: skip
    unit = "GFLOP/s" if row.flops else "GB/s"
    rate = (row.flops or moved) / result.ours_ms / 1e6
    return replace(result, figures={unit: rate, "of the peak": rate / peaks[unit]})


def measure_peaks(
    threads: int, *, side: int = MATRIX_SIDE, count: int = COPY_NUMBERS, rounds: int = 5
) -> dict[str, float]:
    """Return the peaks of this CPU: GFLOP/s of a large product, GB/s of a large copy."""
    a = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
    source = np.ones(count, np.float32)
    target, out = source.copy(), np.empty_like(a[0])
    parts = [np.array_split(array, threads) for array in (target, source)]
    with threadpool_limits(threads, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        product = harness.best(lambda: np.matmul(a[0], a[1], out=out), rounds)
        copy = harness.best(lambda: list(pool.map(np.copyto, *parts)), rounds)
    return {"GFLOP/s": 2 * side**3 / product / 1e9, "GB/s": 2 * source.nbytes / copy / 1e9}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each kernel."""
    chosen = options.begin(options.parser(__doc__, on_gpu=True), arguments)
    on_cpu = chosen.device is CPU
    peaks = measure_peaks(chosen.threads) if on_cpu else gpu.peaks(chosen.device, chosen.clock)
    table = rows()
    print("the peak: " + ", ".join(f"{rate:.0f} {unit}" for unit, rate in peaks.items()))

    def results() -> Iterator[harness.Result]:
        for name in options.selected(kernels.NAMES, chosen.only):
            yield measured(
                name, table[name],
                threads=chosen.threads, torch=chosen.torch, rounds=chosen.rounds, peaks=peaks,
                device=chosen.device, clock=chosen.clock,
            )  # fmt: skip

    report(results(), chosen.json, chosen.chart)


if __name__ == "__main__":
    main()
