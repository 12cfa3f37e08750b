"""Exercises of lesson 10. Test your answers with `pytest -m lesson10`."""

from __future__ import annotations

import numpy as np

from minidl import Tensor


def hide(pictures: np.ndarray, masks: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return the pictures with their holes filled by one colour. Do not change `pictures`.

    pictures (N, H, W, C), masks (N, H, W) bool, True in the hole, colour (C,).
    """
    raise NotImplementedError


def reconstruction(prediction: Tensor, pictures: np.ndarray, masks: np.ndarray) -> Tensor:
    """Return the mean squared error over all hidden numbers of a batch, as a tensor of one number.

    prediction and pictures (N, H, W, C), masks (N, H, W) bool, True in the hole. Predictions
    for the context do not count, and get no gradient. A hidden pixel weighs the same in a small
    hole as in a large one.
    """
    raise NotImplementedError


def channelwise_linear(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the channel-wise fully connected layer of x, without a loop.

    x (N, n, n, C), w (C, n^2, n^2), b (C, n^2) -> (N, n, n, C): y_c = x_c w_c + b_c, with each map
    c as a row of n^2 pixels.
    """
    raise NotImplementedError
