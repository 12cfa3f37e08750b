"""Exercises of lesson 8. Test your answers with `pytest -m lesson08`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def leaky_relu(
    x: np.ndarray, slope: float
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the value of the LeakyReLU, and its gradient function.

    The value is x where x > 0 and slope x elsewhere. The gradient function takes g, the
    slope of the loss along the value, and returns the slope along x.
    """
    raise NotImplementedError


def batch_norm_grad(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> np.ndarray:
    """Return the gradient of a batch norm of pictures with respect to x.

    x, g (N, H, W, C), gamma (C,). Mean and variance of each channel are taken over N, H and W; the
    variance is the mean square, and eps is added to it under the root.
    """
    raise NotImplementedError


def adam_step(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
    t: int,
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> None:
    """Take one step of Adam, in place on p, m and s.

    m and s are the running means of the gradient g and of its square; t counts the steps from 1,
    this one included. Correct both means for their start at 0, as in the lesson.
    """
    raise NotImplementedError
