"""The meaning of every kernel, in plain NumPy. Written to be read and to be tested against.

Shapes are free where none is given: element by element. All arrays of a call have one float type.
"""

from __future__ import annotations

import numpy as np

from ..device import Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow at either end."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_grad(g: Array, y: Array) -> Array:
    """dL/dx of y = sigmoid(x), given g = dL/dy: since y' = y (1 - y), no exponential is needed."""
    return g * y * (1 - y)


def tanh_grad(g: Array, y: Array) -> Array:
    """dL/dx of y = tanh(x), given g = dL/dy: y' = 1 - y^2."""
    return g * (1 - y * y)


def leaky_relu(x: Array, slope: float) -> Array:
    """x where x > 0, slope * x elsewhere. Slope 0 is the plain ReLU."""
    return np.where(x > 0, x, slope * x)


def leaky_relu_grad(g: Array, x: Array, slope: float) -> Array:
    """dL/dx of leaky_relu(x, slope), given g = dL/dy. At x = 0 the left-hand slope is taken."""
    return np.where(x > 0, g, slope * g)


def adam(
    p: Array, g: Array, m: Array, v: Array, rate: float, beta1: float, beta2: float, eps: float
) -> None:
    """One Adam step (Kingma & Ba 2015, algorithm 1), in place on p, m and v, all of one shape.

    rate already holds the correction of the bias: rate * sqrt(1 - beta2^t) / (1 - beta1^t).
    """
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g * g - v)
    p -= rate * m / (np.sqrt(v) + eps)
