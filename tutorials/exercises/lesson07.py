"""Exercises of lesson 7. Test your answers with `pytest -m lesson07`."""

from __future__ import annotations

import numpy as np


def upsample_grad(g: np.ndarray, factor: int) -> np.ndarray:
    """The gradient of repeating every pixel `factor` times along rows and columns.

    g (N, factor H, factor W, C) is how fast the loss changes with each pixel of the large picture;
    the result (N, H, W, C) is how fast it changes with each pixel of the small one.
    """
    raise NotImplementedError


def conv_transpose(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """The transposed convolution of one picture, by stamps.

    x (P, Q, C), w (K, K, O, C) -> ((P - 1) stride + K - 2 pad, (Q - 1) stride + K - 2 pad, O).
    Pixel (i, j) of x stamps w, times its own C numbers and summed over them, onto the rows
    stride i ... stride i + K - 1 and the columns stride j ... stride j + K - 1. In the end `pad`
    rows and columns are cut off on each side.
    """
    raise NotImplementedError


def upsample_conv1d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Double the pixels of a line, then convolve with a window of 3, by three products a pixel.

    x (W, C), w (3, C, O) -> (2 W, O); beyond both ends the line is zero. Use @ three times, each
    time on an array of W rows.
    """
    raise NotImplementedError
