"""Exercises of lesson 7. Test your answers with `pytest -m lesson07`."""

from __future__ import annotations

import numpy as np


def upsample_grad(g: np.ndarray, factor: int) -> np.ndarray:
    """Return the gradient of repeating every pixel `factor` times along rows and columns.

    g (N, factor H, factor W, C) is the slope of the loss along each pixel of the large picture, the
    result (N, H, W, C) the slope along each pixel of the small picture.
    """
    raise NotImplementedError


def conv_transpose(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """Return the transposed convolution of one picture, by stamps.

    x (P, Q, C), w (K, K, O, C) -> ((P - 1) stride + K - 2 pad, (Q - 1) stride + K - 2 pad, O).
    Pixel (i, j) of x stamps w, times its own C numbers and summed over them, onto the rows
    stride i ... stride i + K - 1 and the columns stride j ... stride j + K - 1. At the end cut off
    `pad` rows and columns on each side.
    """
    raise NotImplementedError


def upsample_conv1d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Double the pixels of a line, then convolve with a window of 3, by three products a pixel.

    x (W, C), w (3, C, O) -> (2 W, O); outside, the line is zero. Use @ three times, each
    time on an array of W rows.
    """
    raise NotImplementedError
