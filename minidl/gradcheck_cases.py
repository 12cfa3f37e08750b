"""The table of gradient checks: a row for every op, loss and layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import losses, nn, ops
from .device import CPU, Device
from .gradcheck import check
from .tensor import Tensor


@dataclass(frozen=True)
class Case:
    """A row of the table: an op, loss or layer, and the inputs that its gradients are checked on.

    make() returns it: a function, or a new layer, whose parameters are checked too.
    domain(rng, shape) draws an input, float64.
    """

    name: str
    make: Callable[[], Callable[..., Tensor]]
    shapes: tuple[tuple[int, ...], ...]
    domain: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

    def error(self, seed: int = 0, device: Device = CPU) -> float:
        """The largest relative error of this case's gradients."""
        rng = np.random.default_rng(seed)
        inputs = [
            Tensor(device.put(self.domain(rng, shape)), f"input {shape}") for shape in self.shapes
        ]
        function = self.build(np.float64, device)
        parameters = function.parameters() if isinstance(function, nn.Module) else []
        count = len(inputs)
        return check(lambda *xs: function(*xs[:count]), [*inputs, *parameters], rng=rng)

    def build(self, dtype: Any, device: Device = CPU) -> Callable[..., Tensor]:
        """Return `make()`, a layer's parameters of this float type and on this device."""
        function = self.make()
        return function.astype(dtype).to(device) if isinstance(function, nn.Module) else function


def anywhere(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers."""
    return rng.standard_normal(shape)


def off_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers at least 0.2 away from zero, of both signs."""
    return rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in (0.3, 2)."""
    return rng.uniform(0.3, 2.0, shape)


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that are all at least 0.1 apart."""
    return 0.1 * rng.permutation(int(np.prod(shape))).reshape(shape)


def probability(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in (0.1, 0.9)."""
    return rng.uniform(0.1, 0.9, shape)


def _case(name: str, function: Any, *shapes: tuple[int, ...], domain: Any = anywhere) -> Case:
    return Case(name, lambda: function, shapes, domain)


def _layer(
    name: str,
    make: Callable[[np.random.Generator], nn.Module],
    *shapes: tuple[int, ...],
    domain: Any = anywhere,
) -> Case:
    return Case(name, lambda: make(np.random.default_rng(1)), shapes, domain)


def _conv(
    name: str,
    kernel_size: int,
    pictures: tuple[int, int, int],
    *,
    op: Any = ops.conv2d,
    **options: Any,
) -> Case:
    """A convolution of (N, H, W) pictures, from 2 channels to 3; a transposed one back again."""
    inputs, outputs = (3, 2) if op is ops.conv_transpose2d else (2, 3)
    shapes = (*pictures, inputs), (kernel_size, kernel_size, 2, 3), (outputs,)
    return _case(name, lambda *xs: op(*xs, **options), *shapes)


def _normalize(x: Tensor, gamma: Tensor, beta: Tensor, slope: float = 1.0) -> Tensor:
    mean, variance = (
        np.asarray(a, x.dtype, like=x.data) for a in ([0.5, -1.0, 0.0], [2.0, 0.3, 1.0])
    )
    return ops.normalize(x, gamma, beta, mean=mean, variance=variance, slope=slope)


OP_CASES: list[Case] = [
    _case("add", ops.add, (3, 4), (3, 4)),
    _case("add, broadcast", ops.add, (3, 1, 4), (2, 1)),
    _case("subtract", ops.subtract, (3, 4), (4,)),
    _case("subtract, broadcast", ops.subtract, (1, 4), (3, 1)),
    _case("multiply", ops.multiply, (3, 4), (3, 4)),
    _case("multiply, broadcast", ops.multiply, (2, 3, 4), (3, 1)),
    _case("divide", ops.divide, (3, 4), (3, 4), domain=off_zero),
    _case("divide, broadcast", ops.divide, (4,), (3, 1), domain=off_zero),
    _case("negative", ops.negative, (3, 4)),
    _case("power", lambda x: ops.power(x, exponent=2.5), (3, 4), domain=positive),
    _case("power, a square", lambda x: ops.power(x, exponent=2), (3, 4)),
    _case("exp", ops.exp, (3, 4)),
    _case("log", ops.log, (3, 4), domain=positive),
    _case("sqrt", ops.sqrt, (3, 4), domain=positive),
    _case("absolute", ops.absolute, (3, 4), domain=off_zero),
    _case("bernoulli_kl", partial(ops.bernoulli_kl, p=0.3), (3, 4), domain=probability),
    _case("sum", ops.sum, (3, 4)),
    _case("sum, two axes", lambda x: ops.sum(x, axis=(0, 2)), (2, 3, 4)),
    _case("sum_of_squares", ops.sum_of_squares, (3, 4)),
    _case("squared_distance", ops.squared_distance, (3, 4), (3, 4)),
    _case("sum, keepdims", lambda x: ops.sum(x, axis=-1, keepdims=True), (2, 3)),
    _case("mean", ops.mean, (3, 4)),
    _case("mean, one axis", lambda x: ops.mean(x, axis=1), (2, 3, 4)),
    _case("max", ops.max, (3, 4), domain=distinct),
    _case("max, one axis", lambda x: ops.max(x, axis=1, keepdims=True), (2, 3, 4), domain=distinct),
    _case("reshape", lambda x: ops.reshape(x, shape=(2, -1)), (3, 4)),
    _case("transpose", lambda x: ops.transpose(x, axes=(2, 0, 1)), (2, 3, 4)),
    _case("transpose, reversed", ops.transpose, (2, 3, 4)),
    _case("index", lambda x: ops.index(x, at=(slice(None, None, 2), None, 1)), (5, 3)),
    _case("index, by arrays", lambda x: ops.index(x, at=(np.array([2, 0]),)), (4, 3)),
    _case("concatenate", lambda *xs: ops.concatenate(*xs, axis=1), (2, 3), (2, 1), (2, 4)),
    _case("concatenate, last axis", lambda *xs: ops.concatenate(*xs, axis=-1), (2, 3), (2, 1)),
    _case("sigmoid", ops.sigmoid, (3, 4)),
    _case("tanh", ops.tanh, (3, 4)),
    _case("relu", ops.relu, (3, 4), domain=off_zero),
    _case("leaky_relu", lambda x: ops.leaky_relu(x, slope=0.3), (3, 4), domain=off_zero),
    _case("softplus", ops.softplus, (3, 4)),
    _case("matmul", ops.matmul, (3, 4), (4, 5)),
    _case("linear", ops.linear, (3, 4), (4, 5), (5,)),
    _case("channelwise_linear", ops.channelwise_linear, (2, 2, 3, 4), (4, 6, 6), (4, 6)),
    _case("dropout", lambda x: ops.dropout(x, mask=x.data > 0, keep=0.7), (3, 4), domain=off_zero),
    _conv("conv2d, 3x3", 3, (2, 5, 4)),
    _conv("conv2d, 1x1 window", 1, (1, 3, 4)),
    _conv("conv2d, 1x1 pictures", 3, (2, 1, 1)),
    _conv("conv2d, 5x5, wider than the picture", 5, (1, 3, 4)),
    _conv("conv2d, stride 2, even", 3, (2, 6, 4), stride=2),
    _conv("conv2d, stride 2, odd", 3, (1, 5, 7), stride=2),
    _conv("conv2d, 4x4, stride 2, padding 1", 4, (1, 6, 8), stride=2, padding=1),
    _conv("conv2d, 4x4 to 1x1", 4, (2, 4, 4), padding=0),
    _conv("conv2d, stride 3 over 2x2 windows", 2, (1, 7, 6), stride=3, padding=0),
    _conv("conv2d, four paddings", 3, (1, 4, 5), stride=2, padding=(2, 0, 1, 3)),
    _conv("conv_transpose2d, doubled", 4, (2, 3, 2), stride=2, padding=1, op=ops.conv_transpose2d),
    _conv("conv_transpose2d, from 1x1", 4, (2, 1, 1), stride=1, padding=0, op=ops.conv_transpose2d),
    _conv("conv_transpose2d, stride 3", 2, (1, 2, 3), stride=3, padding=0, op=ops.conv_transpose2d),
    _conv(
        "conv_transpose2d, paddings",
        3,
        (1, 3, 2),
        stride=2,
        padding=(1, 0, 0, 2),
        op=ops.conv_transpose2d,
    ),
    _case("upsample2d", ops.upsample2d, (2, 3, 2, 3)),
    _case("upsample2d, factor 3", lambda x: ops.upsample2d(x, factor=3), (1, 2, 1, 2)),
    _case("upsample_conv2d", ops.upsample_conv2d, (2, 3, 4, 3), (3, 3, 3, 2), (2,)),
    _case("upsample_conv2d, 1x1 pictures", ops.upsample_conv2d, (1, 1, 1, 2), (3, 3, 2, 1), (1,)),
    _case("upsample_conv2d, one row", ops.upsample_conv2d, (1, 1, 3, 2), (3, 3, 2, 4), (4,)),
    _case("batch_norm", ops.batch_norm, (6, 3), (3,), (3,)),
    _case("batch_norm, pictures", ops.batch_norm, (2, 3, 2, 4), (4,), (4,)),
    _case("batch_norm, one picture", ops.batch_norm, (1, 3, 3, 1), (1,), (1,)),
    _case(
        "batch_norm, leaky",
        partial(ops.batch_norm, slope=0.2),
        (2, 3, 2, 4),
        (4,),
        (4,),
        domain=off_zero,
    ),
    _case("normalize", _normalize, (2, 3, 2, 3), (3,), (3,)),
    _case(
        "normalize, leaky",
        partial(_normalize, slope=0.2),
        (2, 3, 2, 3),
        (3,),
        (3,),
        domain=off_zero,
    ),
]

LOSS_CASES: list[Case] = [
    _case("half_squared_error", losses.half_squared_error, (3, 4), (3, 4)),
    _case("mean_squared_error", losses.mean_squared_error, (3, 4), (3, 4)),
    _case("binary_cross_entropy", losses.binary_cross_entropy, (3, 4), (3, 4)),
    _case("kl_sparsity", lambda h: losses.kl_sparsity(h, 0.05), (5, 3), domain=probability),
    _case("l2_penalty", lambda *ws: losses.l2_penalty(ws), (3, 4), (4, 2)),
]

LAYER_CASES: list[Case] = [
    _layer("Linear", lambda rng: nn.Linear(4, 3, rng=rng), (5, 4)),
    _layer("Sigmoid", lambda _: nn.Sigmoid(), (3, 4)),
    _layer("Tanh", lambda _: nn.Tanh(), (3, 4)),
    _layer("ReLU", lambda _: nn.ReLU(), (3, 4), domain=off_zero),
    _layer("LeakyReLU", lambda _: nn.LeakyReLU(slope=0.2), (3, 4), domain=off_zero),
    _layer(
        "Sequential",
        lambda rng: nn.Sequential(nn.Linear(4, 5, rng=rng), nn.Sigmoid(), nn.Linear(5, 2, rng=rng)),
        (3, 4),
    ),
    _layer("Conv2D", lambda rng: nn.Conv2D(2, 3, kernel_size=3, stride=2, rng=rng), (2, 5, 4, 2)),
    _layer(
        "ConvTranspose2D",
        lambda rng: nn.ConvTranspose2D(2, 3, kernel_size=4, stride=2, padding=1, rng=rng),
        (1, 3, 2, 2),
    ),
    _layer("Upsample2D", lambda _: nn.Upsample2D(), (2, 3, 2, 3)),
    _layer("UpsampleConv2D", lambda rng: nn.UpsampleConv2D(2, 3, rng=rng), (1, 3, 4, 2)),
    _layer("ChannelwiseLinear", lambda rng: nn.ChannelwiseLinear(3, 2, rng=rng), (2, 2, 2, 3)),
    _layer("BatchNorm", lambda _: nn.BatchNorm(3), (5, 3)),
    _layer("BatchNorm, pictures", lambda _: nn.BatchNorm(3), (2, 3, 2, 3)),
    _layer("BatchNorm, in use", lambda _: nn.BatchNorm(3).train(False), (2, 3, 2, 3)),
    _layer(
        "LeakyReLUBatchNorm",
        lambda _: nn.LeakyReLUBatchNorm(3, slope=0.2),
        (2, 3, 2, 3),
        domain=off_zero,
    ),
    _case("Dropout", lambda x: nn.Dropout(0.4, rng=np.random.default_rng(0))(x), (5, 4)),
    _layer("Dropout, in use", lambda rng: nn.Dropout(0.4, rng=rng).train(False), (3, 4)),
    _layer("Flatten", lambda _: nn.Flatten(), (2, 3, 2, 2)),
]

CASES: list[Case] = OP_CASES + LOSS_CASES + LAYER_CASES


def errors(device: Device = CPU) -> list[tuple[str, str, float]]:
    """(kind, name, largest relative error) of every op, loss and layer, on a device."""
    kinds = (("op", OP_CASES), ("loss", LOSS_CASES), ("layer", LAYER_CASES))
    return [(kind, case.name, case.error(device=device)) for kind, cases in kinds for case in cases]
