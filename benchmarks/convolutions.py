"""Every convolution of the models on a GPU, by our own kernels and by cuBLAS.

python -m benchmarks.convolutions [--only NAME ...] [--quick] [--json FILE] ...

Ours read the windows from the pictures directly; for cuBLAS they are unrolled first.
`minidl.kernels.gpu.convolution.unrolls` chooses: it should choose cuBLAS where ratios are above 1.
With CUPY_TF32=1 cuBLAS uses tensor cores, which ours do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from minidl import kernels, no_grad
from minidl.device import Device
from minidl.kernels.checks import Padding
from minidl.kernels.gpu import convolution
from minidl.models.context_encoder import networks

from . import harness, options
from .report import report

BATCH = 16
Shape = tuple[tuple[int, int], tuple[int, int, int, int], int, Padding]  # size, w, ...


def shapes(*, width: float = 1.0) -> dict[str, Shape]:
    """Return {name: (size, w.shape, stride, pad)} of all networks' convolutions, each once, without
    plain matrix products.
    """
    found: dict[str, Shape] = {}
    forward, backward = kernels.conv2d, kernels.conv2d_grad_x

    def note(size: tuple[int, int], w: Any, stride: int, pad: Padding) -> None:
        (H, W), (K, L, C, O) = size, w.shape
        if not convolution.is_product(size, (K, L), stride, pad):
            name = f"{H}x{W}x{C} to {O}, {K}x{L} stride {stride}"
            found[name] = size, w.shape, stride, pad

    def conv2d(x: Any, w: Any, b: Any, stride: int, pad: Padding) -> Any:
        note(x.shape[1:3], w, stride, pad)
        return forward(x, w, b, stride, pad)

    def conv2d_grad_x(g: Any, w: Any, size: Any, stride: int, pad: Padding) -> Any:
        note(size, w, stride, pad)  # a transposed convolution
        return backward(g, w, size, stride, pad)

    with mock.patch.multiple(kernels, conv2d=conv2d, conv2d_grad_x=conv2d_grad_x), no_grad():
        for net, architecture in networks.ARCHITECTURES.items():
            pair = networks.build(net, rng=np.random.default_rng(0), width=width)
            for network, side in zip(pair, (architecture.size, architecture.hole), strict=True):
                network.train(False)(np.zeros((1, side, side, 3), np.float32))
    return found


def calls(shape: Shape, device: Device, *, batch: int = BATCH) -> dict[str, tuple[Any, ...]]:
    """Return {kernel: arguments} of a convolution and its two gradients, with random numbers."""
    (size, of_w, stride, pad), rng = shape, np.random.default_rng(0)
    x, w = (
        device.put(rng.standard_normal(s, dtype=np.float32))
        for s in ((batch, *size, of_w[2]), of_w)
    )
    g = kernels.conv2d(x, w, None, stride, pad)
    return {
        "conv2d": (x, w, None, stride, pad),
        "conv2d_grad_x": (g, w, size, stride, pad),
        "conv2d_grad_w": (x, g, of_w[:2], stride, pad),
    }


def measured(
    name: str, shape: Shape, device: Device, *, clock: harness.Clock, rounds: int
) -> Iterator[harness.Result]:
    """Yield results of our kernels beside cuBLAS, forward and for both gradients."""

    def call(kernel: str, arguments: tuple[Any, ...], unrolled: bool) -> Any:
        convolution.unrolls = lambda dtype: unrolled
        return getattr(kernels, kernel)(*arguments)

    for kernel, arguments in calls(shape, device).items():
        with mock.patch.object(convolution, "unrolls"):  # puts back what `call` changes
            yield harness.compare(
                f"{name}: {kernel.removeprefix('conv2d_')}",
                partial(call, kernel, arguments, False),
                {"cuBLAS": partial(call, kernel, arguments, True)},
                threads=1, group=kernel, rounds=rounds, clock=clock,
            )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each convolution and each of its gradients."""
    parser = options.parser(__doc__)
    parser.set_defaults(device="gpu", against="none")
    chosen = options.begin(parser, arguments)
    table = shapes()

    def results() -> Iterator[harness.Result]:
        for name in options.selected(table, chosen.only):
            shape, device = table[name], chosen.device
            yield from measured(name, shape, device, clock=chosen.clock, rounds=chosen.rounds)

    report(results(), chosen.json, chosen.chart)


if __name__ == "__main__":
    main()
