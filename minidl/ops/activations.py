"""Functions of one number that networks put between their layers."""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..device import Array
from ..tensor import op
from .grads import Grads


@op
def sigmoid(x: Array) -> Grads:
    """1 / (1 + exp(-x)), in (0, 1)."""
    y = kernels.sigmoid(x)
    return y, lambda g: kernels.sigmoid_grad(g, y)


@op
def tanh(x: Array) -> Grads:
    """The hyperbolic tangent, in (-1, 1)."""
    y = np.tanh(x)
    return y, lambda g: kernels.tanh_grad(g, y)


@op
def leaky_relu(x: Array, *, slope: float = 0.2) -> Grads:
    """x where it is positive, slope * x elsewhere."""
    return kernels.leaky_relu(x, slope), lambda g: kernels.leaky_relu_grad(g, x, slope)


@op
def relu(x: Array) -> Grads:
    """x where it is positive, 0 elsewhere."""
    return kernels.leaky_relu(x, 0.0), lambda g: kernels.leaky_relu_grad(g, x, 0.0)


@op
def softplus(x: Array) -> Grads:
    """log(1 + exp(x)): minus the logarithm of a sigmoid, without its overflow."""
    return np.logaddexp(0, x), lambda g: g * kernels.sigmoid(x)
