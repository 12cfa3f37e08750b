"""Layers without parameters that work element by element, or change the shape."""

from __future__ import annotations

import math

from .. import ops
from ..device import Array
from ..tensor import Tensor
from .module import Module


class Sigmoid(Module):
    """(...) -> (...), in [0, 1]."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.sigmoid(x)


class Tanh(Module):
    """(...) -> (...), in [-1, 1]."""

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


class Flatten(Module):
    """(N, ...) -> (N, the product of the rest)."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.reshape(x, shape=(x.shape[0], math.prod(x.shape[1:])))
