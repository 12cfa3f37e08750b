"""Layers: parameters, and the op that uses them.

A `Module` is anything made of parameters and other modules. Its parameters come in the order in
which they were defined, here and in every process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import ops
from .device import Array, Device
from .tensor import Tensor


class Module:
    """Base of layers and networks: set parameters and modules in `__init__`, define `forward`."""

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(path, parameter) for all parameters of this module and those below, in order."""
        for name, value in vars(self).items():
            for path, child in _named(prefix + name, value):
                if isinstance(child, Module):
                    yield from child.named_parameters(path + ".")
                else:
                    yield path, child

    def parameters(self) -> list[Tensor]:
        """All parameters of this module and those below, in order of definition."""
        return [p for _, p in self.named_parameters()]

    def state(self) -> dict[str, Array]:
        """The values of all parameters by path: what a checkpoint holds. Views, not copies."""
        return {path: p.data for path, p in self.named_parameters()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Copy in values that `state` of an equal module gave; they may be of another float type.

        Raises ValueError, before anything is changed, where names or shapes differ.
        """
        own = dict(self.named_parameters())
        if own.keys() != state.keys():
            odd = sorted(own.keys() ^ state.keys())
            raise ValueError(f"{type(self).__name__}: the state has other parameters: {odd[:4]}")
        for path, p in own.items():
            if p.shape != state[path].shape:
                raise ValueError(
                    f"{type(self).__name__}: {path} is {p.shape}, in the state {state[path].shape}"
                )
        for path, p in own.items():
            p.data[...] = state[path]

    def to(self, device: Device) -> Module:
        """Move all parameters to a device, in place; returns self."""
        for p in self.parameters():
            p.data = device.put(p.data)
        return self

    def astype(self, dtype: Any) -> Module:
        """Convert all parameters to a float type, in place; returns self."""
        for p in self.parameters():
            p.data = p.data.astype(dtype)
        return self


def _named(path: str, value: Any) -> Iterator[tuple[str, Module | Tensor]]:
    """The parameters and modules in an attribute: itself, or the elements of a list or tuple."""
    if isinstance(value, Module | Tensor):
        yield path, value
    elif isinstance(value, list | tuple):
        for i, element in enumerate(value):
            yield from _named(f"{path}.{i}", element)


class Sequential(Module):
    """Layers applied one after another."""

    def __init__(self, *layers: Module) -> None:
        self.layers = layers

    def forward(self, x: Tensor | Array) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class Linear(Module):
    """(N, inputs) -> x w + b, (N, outputs).

    w (inputs, outputs) is drawn uniformly from +-gain sqrt(6 / (inputs + outputs)) (Glorot & Bengio
    2010; a gain of 4 is theirs for sigmoid layers), b (outputs,) is zero.
    """

    def __init__(
        self, inputs: int, outputs: int, *, rng: np.random.Generator, gain: float = 1.0
    ) -> None:
        bound = gain * math.sqrt(6 / (inputs + outputs))
        w = rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
        self.w = Tensor(w, f"Linear({inputs}, {outputs}).w")
        self.b = Tensor(np.zeros(outputs, np.float32), f"Linear({inputs}, {outputs}).b")

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.linear(x, self.w, self.b)


class Sigmoid(Module):
    """(...) -> (...), in (0, 1)."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    """(...) -> (...), in (-1, 1)."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.tanh(x)


class ReLU(Module):
    """(...) -> (...), not below 0."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.relu(x)


class LeakyReLU(Module):
    """(...) -> (...): x where it is positive, slope * x elsewhere."""

    def __init__(self, *, slope: float = 0.2) -> None:
        self.slope = slope

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.leaky_relu(x, slope=self.slope)
