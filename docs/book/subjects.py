"""The subjects of the book: every op, loss and layer, and a way to call each of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import Tensor, gradients, kernels, losses, nn, ops
from minidl.gradcheck_cases import LAYER_CASES, LOSS_CASES, OP_CASES, Case
from minidl.tensor import OPS
from minidl.tools import draw
from minidl.tools.drawing.graph import graph_of

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Subject:
    """One page: a function or class, and its rows of the gradient check."""

    kind: str  # "op", "loss" or "layer"
    name: str
    thing: Any
    cases: tuple[Case, ...]

    @property
    def address(self) -> str:
        """The page's path in the book. A layer and an op may differ in case alone."""
        return f"{FOLDERS[self.kind]}/{self.name}.html"

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.thing) or ""


FOLDERS = {"op": "ops", "loss": "losses", "layer": "layers"}


def subjects() -> list[Subject]:
    """Return all subjects, in the order in which the library lists them."""
    of_library = {name for name, f in OPS.items() if f.__module__.startswith("minidl.ops")}
    listed = [name for name in ops.__all__ if name in of_library]
    layers = [
        name
        for name in nn.__all__
        if inspect.isclass(c := getattr(nn, name)) and c is not nn.Module
    ]
    return [
        *(_subject("op", name, OPS[name], OP_CASES) for name in listed),
        *(_subject("loss", c.name, getattr(losses, c.name), LOSS_CASES) for c in LOSS_CASES),
        *(_subject("layer", name, getattr(nn, name), LAYER_CASES) for name in layers),
    ]


def _subject(kind: str, name: str, thing: Any, cases: list[Case]) -> Subject:
    own = tuple(case for case in cases if case.name.partition(", ")[0] == name)
    return Subject(kind, name, thing, own)


# --- calling them --------------------------------------------------------------------------------


def drawing(subject: Subject) -> str:
    """Return the SVG of L = sum of r y, with random r, for the first case, with all gradients."""
    case, rng = subject.cases[0], np.random.default_rng(0)
    function = case.build(np.float64)
    inputs = [Tensor(case.domain(rng, shape)) for shape in case.shapes]
    parameters = dict(function.named_parameters()) if isinstance(function, nn.Module) else {}
    names: dict[str, Tensor] = dict(zip(_input_names(subject, len(inputs)), inputs, strict=True))
    names |= parameters

    def loss() -> Tensor:
        y = names["y"] = function(*inputs)
        r = names["r"] = Tensor(rng.standard_normal(y.shape))
        names["L"] = ops.sum(y * r)
        return names["L"]

    return str(draw(loss, names=names, gradients=[*inputs, *parameters.values()]))


def _input_names(subject: Subject, count: int) -> list[str]:
    if subject.kind == "op":
        kinds = inspect.Parameter
        named = [
            p.name
            for p in inspect.signature(subject.thing).parameters.values()
            if p.kind is kinds.POSITIONAL_OR_KEYWORD
        ]
        if len(named) == count:
            return named
    return ["x"] if count == 1 else [f"x{i + 1}" for i in range(count)]


@contextmanager
def recorded() -> Iterator[dict[str, tuple[Any, ...]]]:
    """Record {kernel: its first arguments} of all kernels that are called inside."""
    calls: dict[str, tuple[Any, ...]] = {}
    before = {name: getattr(kernels, name) for name in kernels.NAMES}

    def recording(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.setdefault(name, arguments)
            return before[name](*arguments)

        return call

    for name in kernels.NAMES:
        setattr(kernels, name, recording(name))
    try:
        yield calls
    finally:
        for name, function in before.items():
            setattr(kernels, name, function)


def kernels_of(subject: Subject) -> list[str]:
    """Return the kernels that the cases of an op call, forward and backward."""
    rng = np.random.default_rng(0)
    with recorded() as calls:
        for case in subject.cases:
            inputs = [Tensor(case.domain(rng, shape)) for shape in case.shapes]
            gradients(ops.sum(case.make()(*inputs)), inputs)
    return [name for name in kernels.NAMES if name in calls]


@functools.cache
def ops_of(subject: Subject) -> list[str]:
    """Return the ops that a loss or layer consists of."""
    rng = np.random.default_rng(0)
    found: dict[str, None] = {}
    for case in subject.cases:
        inputs = [Tensor(case.domain(rng, shape)) for shape in case.shapes]
        y = case.build(np.float64)(*inputs)  # a layer that does nothing in use returns its input
        found |= dict.fromkeys(box.op for box in graph_of(y, None, False).boxes if box.op)
    return list(found)


# --- sizes to time -------------------------------------------------------------------------------

SIZES: dict[str, Shapes] = {
    "transpose": ((100, 100, 100),),
    "matmul": ((500, 784), (784, 500)),
    "linear": ((500, 784), (784, 500), (500,)),
    "channelwise_linear": ((32, 4, 4, 128), (128, 16, 16), (128, 16)),
    "conv2d": ((8, 32, 32, 64), (3, 3, 64, 64), (64,)),
    "conv_transpose2d": ((8, 16, 16, 64), (4, 4, 32, 64), (32,)),
    "upsample2d": ((8, 32, 32, 64),),
    "upsample_conv2d": ((8, 16, 16, 64), (3, 3, 64, 64), (64,)),
    "batch_norm": ((8, 32, 32, 64), (64,), (64,)),
    "normalize": ((8, 128, 128, 3), (3,), (3,)),
    "Sequential": ((500, 784),),
    "Linear": ((500, 784),),
    "ChannelwiseLinear": ((32, 4, 4, 128),),
    "Conv2D": ((8, 32, 32, 64),),
    "ConvTranspose2D": ((8, 16, 16, 64),),
    "Upsample2D": ((8, 32, 32, 64),),
    "UpsampleConv2D": ((8, 16, 16, 64),),
    "BatchNorm": ((8, 32, 32, 64),),
    "LeakyReLUBatchNorm": ((8, 32, 32, 64),),
    "Flatten": ((8, 32, 32, 64),),
}
LARGE: dict[str, Callable[[np.random.Generator], nn.Module]] = {  # layers of the sizes above
    "Sequential": lambda rng: nn.Sequential(nn.Linear(784, 500, rng=rng), nn.Sigmoid()),
    "Linear": lambda rng: nn.Linear(784, 500, rng=rng),
    "ChannelwiseLinear": lambda rng: nn.ChannelwiseLinear(128, 4, rng=rng),
    "Conv2D": lambda rng: nn.Conv2D(64, 64, kernel_size=3, rng=rng),
    "ConvTranspose2D": lambda rng: nn.ConvTranspose2D(
        64, 32, kernel_size=4, stride=2, padding=1, rng=rng
    ),
    "UpsampleConv2D": lambda rng: nn.UpsampleConv2D(64, 64, rng=rng),
    "BatchNorm": lambda rng: nn.BatchNorm(64),
    "LeakyReLUBatchNorm": lambda rng: nn.LeakyReLUBatchNorm(64),
}


def timed_call(subject: Subject) -> tuple[Callable[..., Tensor], list[Tensor], list[Tensor]]:
    """Return (function, float32 inputs large enough for timing, tensors to differentiate by)."""
    case, rng = subject.cases[0], np.random.default_rng(0)
    shapes = SIZES.get(subject.name) or ((1000, 1000),) * len(case.shapes)
    function = LARGE[subject.name](rng) if subject.name in LARGE else case.build(np.float32)
    parameters = function.parameters() if isinstance(function, nn.Module) else []
    inputs = [Tensor(case.domain(rng, shape).astype(np.float32)) for shape in shapes]
    return function, inputs, [*inputs, *parameters]
