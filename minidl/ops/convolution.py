"""Convolutions. Pictures are (N, H, W, C), windows w (K, L, inputs, outputs), biases (outputs,).

A convolution multiplies each window by w, which is not flipped: strictly, it is a correlation.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .. import kernels
from ..device import Array
from ..kernels.checks import Padding
from ..lift import op
from .vjp import ValueAndVJPs

PaddingLike = str | int | Padding  # one number for all sides


def pads_of(
    padding: PaddingLike, size: tuple[int, int], kernel_size: tuple[int, int], stride: int
) -> Padding:
    """Return `padding` as (top, bottom, left, right), for pictures of size (H, W) and a filter.

    "same" makes the output ceil(size / stride) large. If the number of zeros along an axis is odd,
    the last one is at the bottom or on the right (Keras' and TensorFlow's rule).
    """
    if isinstance(padding, str):
        if padding != "same":
            raise ValueError(f'padding is "{padding}", expected "same", a number or four')
        ends: list[int] = []
        for n, k in zip(size, kernel_size, strict=True):
            total = max(0, (-(-n // stride) - 1) * stride + k - n)
            ends += [total // 2, total - total // 2]
    else:
        ends = list(padding) if isinstance(padding, tuple | list) else [padding] * 4
    if len(ends) != 4 or not all(isinstance(n, Integral) and n >= 0 for n in ends):
        raise ValueError(f"padding is {padding}, expected (top, bottom, left, right), none below 0")
    top, bottom, left, right = map(int, ends)
    return top, bottom, left, right


def _check(x: Array, w: Array, b: Array, stride: int) -> None:
    if x.ndim != 4 or w.ndim != 4:
        raise ValueError(f"x is {x.shape}, w {w.shape}; expected (N, H, W, C) and (K, L, C, O)")
    if x.shape[3] != w.shape[2]:
        raise ValueError(f"x has {x.shape[3]} channels, w expects {w.shape[2]}")
    if b.shape != w.shape[3:]:
        raise ValueError(f"w gives {w.shape[3]} channels, b is {b.shape}")
    _check_stride(stride)


def _check_stride(stride: int) -> None:
    if not isinstance(stride, Integral) or stride < 1:
        raise ValueError(f"stride is {stride}, expected a whole number, 1 or more")


@op
def conv2d(
    x: Array, w: Array, b: Array, *, stride: int = 1, padding: PaddingLike = "same"
) -> ValueAndVJPs:
    """x (N, H, W, C), w (K, L, C, O), b (O,) -> (N, P, Q, O): at every `stride`-th place of the
    padded picture, the sum of the window there times w, plus b.

    padding: "same" for P = ceil(H / stride), as in Keras; zeros on all sides; or (top, bottom,
    left, right), for P = (top + H + bottom - K) // stride + 1.
    """
    _check(x, w, b, stride)
    size, kernel_size = x.shape[1:3], w.shape[:2]
    pads = pads_of(padding, size, kernel_size, stride)
    padded = size[0] + pads[0] + pads[1], size[1] + pads[2] + pads[3]
    if padded[0] < kernel_size[0] or padded[1] < kernel_size[1]:
        raise ValueError(
            f"the filter {kernel_size[0]}x{kernel_size[1]} is larger than the padded picture"
            f" {padded[0]}x{padded[1]}"
        )
    return (
        kernels.conv2d(x, w, b, stride, pads),
        lambda g: kernels.conv2d_grad_x(g, w, size, stride, pads),
        lambda g: kernels.conv2d_grad_w(x, g, kernel_size, stride, pads),
        kernels.channel_sum,
    )


@op
def conv_transpose2d(
    x: Array, w: Array, b: Array, *, stride: int, padding: int | Padding
) -> ValueAndVJPs:
    """x (N, P, Q, C), w (K, L, O, C), b (O,) -> (N, H, W, O): the transpose of the convolution with
    w from H x W to P x Q, as in PyTorch. H = (P - 1) stride + K - top - bottom.

    4x4 filters with stride 2 and padding 1 double a picture; with stride 1 and padding 0 they make
    4x4 of 1x1. padding: what is cut off on all sides, or off (top, bottom, left, right).
    """
    if x.ndim != 4 or w.ndim != 4:
        raise ValueError(f"x is {x.shape}, w {w.shape}; expected (N, P, Q, C) and (K, L, O, C)")
    if x.shape[3] != w.shape[3]:
        raise ValueError(f"x has {x.shape[3]} channels, w expects {w.shape[3]}")
    if b.shape != w.shape[2:3]:
        raise ValueError(f"w gives {w.shape[2]} channels, b is {b.shape}")
    _check_stride(stride)
    if isinstance(padding, str):
        raise ValueError(f'padding is "{padding}", expected a number or (top, bottom, left, right)')
    kernel_size = w.shape[:2]
    top, bottom, left, right = pads = pads_of(padding, x.shape[1:3], kernel_size, stride)
    size = (
        (x.shape[1] - 1) * stride + kernel_size[0] - top - bottom,
        (x.shape[2] - 1) * stride + kernel_size[1] - left - right,
    )
    if min(size) < 1:
        raise ValueError(f"padding {padding} leaves nothing of the output: {size[0]}x{size[1]}")
    y = kernels.conv2d_grad_x(x, w, size, stride, pads)
    y += b
    return (
        y,
        lambda g: kernels.conv2d(g, w, None, stride, pads),
        lambda g: kernels.conv2d_grad_w(g, x, kernel_size, stride, pads),
        kernels.channel_sum,
    )


@op
def upsample2d(x: Array, *, factor: int = 2) -> ValueAndVJPs:
    """x (N, H, W, C) -> (N, factor H, factor W, C): every pixel repeated, along both axes."""
    if x.ndim != 4 or factor < 1:
        raise ValueError(f"x is {x.shape}, factor {factor}; expected (N, H, W, C) and 1 or more")
    N, H, W, C = x.shape
    y = np.broadcast_to(x[:, :, None, :, None], (N, H, factor, W, factor, C))
    return (
        y.reshape(N, H * factor, W * factor, C),
        lambda g: g.reshape(N, H, factor, W, factor, C).sum(axis=(2, 4)),
    )


@op
def upsample_conv2d(x: Array, w: Array, b: Array) -> ValueAndVJPs:
    """x (N, H, W, C), w (3, 3, C, O), b (O,) -> (N, 2H, 2W, O): conv2d(upsample2d(x), w, b), in a
    quarter of the multiplications."""
    _check(x, w, b, 1)
    if w.shape[:2] != (3, 3):
        raise ValueError(f"the filter is {w.shape[0]}x{w.shape[1]}, expected 3x3")
    return (
        kernels.upsample_conv2d(x, w, b),
        lambda g: kernels.upsample_conv2d_grad_x(g, w),
        lambda g: kernels.upsample_conv2d_grad_w(x, g),
        kernels.channel_sum,
    )
