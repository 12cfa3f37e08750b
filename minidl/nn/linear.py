"""Layers in which every output sees every input."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..device import Array
from ..tensor import Tensor
from .init import glorot
from .module import Module


class Linear(Module):
    """(N, inputs) -> x w + b, (N, outputs).

    w (inputs, outputs) is drawn uniformly from +-gain sqrt(6 / (inputs + outputs)) (Glorot & Bengio
    2010; a gain of 4 is theirs for sigmoid layers), b (outputs,) is zero.
    """

    def __init__(
        self, inputs: int, outputs: int, *, rng: np.random.Generator, gain: float = 1.0
    ) -> None:
        w = float(gain) * glorot(rng, (inputs, outputs), inputs, outputs)
        self.w = Tensor(w, f"Linear({inputs}, {outputs}).w")
        self.b = Tensor(np.zeros(outputs, np.float32), f"Linear({inputs}, {outputs}).b")

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.linear(x, self.w, self.b)


class ChannelwiseLinear(Module):
    """(N, size, size, channels) -> the same shape: every feature map a linear layer of its own.

    The channel-wise fully connected layer of Pathak et al. 2016, section 3.1: with m maps of n x n,
    m n^4 weights, and none from one map to another. w (channels, size^2, size^2) is drawn as
    `Linear` draws its own, b (channels, size^2) is zero.
    """

    def __init__(self, channels: int, size: int, *, rng: np.random.Generator) -> None:
        pixels = size * size
        name = f"ChannelwiseLinear({channels}, {size})"
        self.w = Tensor(glorot(rng, (channels, pixels, pixels), pixels, pixels), f"{name}.w")
        self.b = Tensor(np.zeros((channels, pixels), np.float32), f"{name}.b")

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.channelwise_linear(x, self.w, self.b)
