"""Functions of one number that networks put between their layers."""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..device import Array
from ..lift import op
from .vjp import ValueAndVJPs


@op
def sigmoid(x: Array) -> ValueAndVJPs:
    """1 / (1 + exp(-x)), in [0, 1]: far from 0 it is rounded to an end."""
    y = kernels.sigmoid(x)
    return y, lambda g: kernels.sigmoid_grad(g, y)


@op
def tanh(x: Array) -> ValueAndVJPs:
    """The hyperbolic tangent, in [-1, 1]."""
    y = np.tanh(x)
    return y, lambda g: kernels.tanh_grad(g, y)


@op
def leaky_relu(x: Array, *, slope: float = 0.2) -> ValueAndVJPs:
    """x where it is positive, slope * x elsewhere; slope is not below 0."""
    if slope < 0:
        raise ValueError(f"slope is {slope}, expected 0 or more")
    y = kernels.leaky_relu(x, slope)  # as positive as x: x itself need not be kept
    return y, lambda g: kernels.leaky_relu_grad(g, y, slope)


@op
def relu(x: Array) -> ValueAndVJPs:
    """x where it is positive, 0 elsewhere."""
    y = kernels.leaky_relu(x, 0.0)
    return y, lambda g: kernels.leaky_relu_grad(g, y, 0.0)


@op
def softplus(x: Array) -> ValueAndVJPs:
    """log(1 + exp(x)): minus the logarithm of a sigmoid, without its overflow."""
    return np.logaddexp(0, x), lambda g: g * kernels.sigmoid(x)
