"""A convolution at stride 1 as the gradient of a convolution with the flipped filter.

A window of x holds K L C numbers for each pixel. At stride 1, y = conv2d(x, w) is also the gradient
with respect to the input of the convolution from y to x whose filter is w flipped along both axes,
with its channels exchanged. That one has K L O numbers for each pixel: for a picture with 3
channels that is computed from 64, 27 instead of 576.
"""

from __future__ import annotations

import numpy as np

from ...checks import Padding


def worth_it(
    inputs: int, outputs: int, stride: int, padding: Padding, kernel_size: tuple[int, int]
) -> bool:
    """Return whether the convolution can be computed from the flipped filter, in fewer numbers."""
    fits = stride == 1 and min(flipped_padding(padding, kernel_size)) >= 0
    return fits and 2 * outputs <= inputs


def flipped_padding(padding: Padding, kernel_size: tuple[int, int]) -> Padding:
    """The padding of the convolution from y to x."""
    (top, bottom, left, right), (K, L) = padding, kernel_size
    return K - 1 - top, K - 1 - bottom, L - 1 - left, L - 1 - right


def flipped_filter(w: np.ndarray) -> np.ndarray:
    """w (K, L, C, O) -> the filter (K, L, O, C) of the convolution from y to x, and back."""
    return w[::-1, ::-1].transpose(0, 1, 3, 2).copy()
