"""A convolution at stride 1 as the gradient of a convolution with the flipped filter.

At stride 1, y = conv2d(x, w) is also a gradient with respect to an input: that of the convolution
from y to x, whose filter is w flipped along both axes, with its channels exchanged. To compute y
directly takes a window of K L C numbers for each pixel; as a gradient it takes a patch of K L O
numbers. For a 3x3 filter from 64 channels to 3 these are 576 and 27.
"""

from __future__ import annotations

import numpy as np

from ...checks import Padding


def worth_it(
    inputs: int, outputs: int, stride: int, padding: Padding, kernel_size: tuple[int, int]
) -> bool:
    """Return whether the flipped filter gives the same result, from at most half the numbers."""
    fits = stride == 1 and min(flipped_padding(padding, kernel_size)) >= 0
    return fits and 2 * outputs <= inputs


def flipped_padding(padding: Padding, kernel_size: tuple[int, int]) -> Padding:
    """Return the padding of the convolution from y to x."""
    (top, bottom, left, right), (K, L) = padding, kernel_size
    return K - 1 - top, K - 1 - bottom, L - 1 - left, L - 1 - right


def flipped_filter(w: np.ndarray) -> np.ndarray:
    """Return the filter (K, L, O, C) of the convolution from y to x, for w (K, L, C, O)."""
    return w[::-1, ::-1].transpose(0, 1, 3, 2).copy()
