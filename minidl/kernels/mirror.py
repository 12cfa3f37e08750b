"""A convolution at stride 1, seen from its outputs: cheaper where they have fewer channels.

The windows of x hold K L C numbers for each pixel. At stride 1, y = conv2d(x, w) is as well what
x sends back through the mirrored window: the gradient of a convolution from y to x. Then there are
K L O numbers for each pixel; for a picture with 3 channels made of 64, 27 instead of 576.
"""

from __future__ import annotations

from ..device import Array

Pad = tuple[int, int, int, int]


def pays(inputs: int, outputs: int, stride: int, pad: Pad, window: tuple[int, int]) -> bool:
    """Whether the convolution can be seen from the other side, and it is worth the trouble."""
    return stride == 1 and 2 * outputs <= inputs and min(pad_of(pad, window)) >= 0


def pad_of(pad: Pad, window: tuple[int, int]) -> Pad:
    """The padding of the convolution from y to x."""
    (top, bottom, left, right), (K, L) = pad, window
    return K - 1 - top, K - 1 - bottom, L - 1 - left, L - 1 - right


def window_of(w: Array) -> Array:
    """The window (K, L, O, C) of the convolution from y to x, of w (K, L, C, O); and back."""
    return w[::-1, ::-1].transpose(0, 1, 3, 2).copy()
