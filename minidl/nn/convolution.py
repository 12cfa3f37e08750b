"""Convolution layers. Pictures are (N, H, W, C), windows square.

Weights (K, K, inputs, outputs) are drawn uniformly as Glorot & Bengio (2010) advise, as
Keras does, or with `std` from a normal distribution of that width (0.02 in Radford et al. 2016 and
Pathak et al. 2016). Biases (outputs,) are zero.
"""

from __future__ import annotations

import numpy as np

from .. import ops
from ..device import Array
from ..ops.convolution import Padding, PaddingLike
from ..tensor import Tensor
from .init import glorot, normal
from .module import Module


class _Convolution(Module):
    """The weights and the bias of the layers below. Those of a transposed convolution lie as those
    of the convolution that it transposes: from `outputs` to `inputs`."""

    transposed = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel_size: int,
        rng: np.random.Generator,
        std: float | None,
    ) -> None:
        channels = (outputs, inputs) if self.transposed else (inputs, outputs)
        shape, taps = (kernel_size, kernel_size, *channels), kernel_size * kernel_size
        if std is None:
            w = glorot(rng, shape, taps * inputs, taps * outputs)
        else:
            w = normal(rng, shape, std)
        name = f"{type(self).__name__}({inputs}, {outputs}, kernel_size={kernel_size})"
        self.w = Tensor(w, f"{name}.w")
        self.b = Tensor(np.zeros(outputs, np.float32), f"{name}.b")


class Conv2D(_Convolution):
    """(N, H, W, inputs) -> (N, P, Q, outputs). Padding "same": P = ceil(H / stride), as in Keras.

    padding: "same", zeros on all sides, or (top, bottom, left, right).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel_size: int,
        stride: int = 1,
        padding: PaddingLike = "same",
        rng: np.random.Generator,
        std: float | None = None,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size=kernel_size, rng=rng, std=std)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.conv2d(x, self.w, self.b, stride=self.stride, padding=self.padding)


class ConvTranspose2D(_Convolution):
    """(N, P, Q, inputs) -> (N, (P - 1) stride + K - 2 padding, ..., outputs), as in PyTorch.

    Filters of 4x4 with stride 2 and padding 1 double a picture; with stride 1 and padding 0 they
    make 4x4 of 1x1. The weights are (K, K, outputs, inputs), where K is the kernel size.
    """

    transposed = True

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel_size: int,
        stride: int,
        padding: int | Padding,
        rng: np.random.Generator,
        std: float | None = None,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size=kernel_size, rng=rng, std=std)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.conv_transpose2d(x, self.w, self.b, stride=self.stride, padding=self.padding)


class Upsample2D(Module):
    """(N, H, W, C) -> (N, factor H, factor W, C): every pixel repeated."""

    def __init__(self, *, factor: int = 2) -> None:
        self.factor = factor

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.upsample2d(x, factor=self.factor)


class UpsampleConv2D(_Convolution):
    """(N, H, W, inputs) -> (N, 2H, 2W, outputs): Upsample2D() and Conv2D(kernel_size=3), in
    a quarter of the multiplications."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        rng: np.random.Generator,
        std: float | None = None,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size=3, rng=rng, std=std)

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.upsample_conv2d(x, self.w, self.b)
