"""Arithmetic, element by element with broadcasting, and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..device import Array
from ..lift import op
from .sums import summed
from .vjp import ValueAndVJPs


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum g over the axes along which an array of `shape` was repeated to g's shape."""
    if g.shape == shape:
        return g
    new = g.ndim - len(shape)
    repeated = (i for i, n in enumerate(shape, new) if n == 1 and g.shape[i] != 1)
    return summed(g, (*range(new), *repeated)).reshape(shape)


@op
def add(a: Array, b: Array) -> ValueAndVJPs:
    """a + b."""
    sa, sb = np.shape(a), np.shape(b)
    return a + b, lambda g: unbroadcast(g, sa), lambda g: unbroadcast(g, sb)


@op
def subtract(a: Array, b: Array) -> ValueAndVJPs:
    """a - b."""
    sa, sb = np.shape(a), np.shape(b)
    return a - b, lambda g: unbroadcast(g, sa), lambda g: unbroadcast(-g, sb)


@op
def multiply(a: Array, b: Array) -> ValueAndVJPs:
    """a * b, element by element."""
    sa, sb = np.shape(a), np.shape(b)
    return a * b, lambda g: unbroadcast(g * b, sa), lambda g: unbroadcast(g * a, sb)


@op
def divide(a: Array, b: Array) -> ValueAndVJPs:
    """a / b, element by element."""
    sa, sb, y = np.shape(a), np.shape(b), a / b
    return y, lambda g: unbroadcast(g / b, sa), lambda g: unbroadcast(-g * y / b, sb)


@op
def negative(x: Array) -> ValueAndVJPs:
    """-x."""
    return -x, lambda g: -g


@op
def power(x: Array, *, exponent: float) -> ValueAndVJPs:
    """x ** exponent, for a constant exponent."""
    if np.ndim(exponent):
        raise ValueError(f"the exponent is of shape {np.shape(exponent)}, expected one number")
    exponent = float(exponent)
    if not exponent:  # flat, at 0 too
        return x**exponent, np.zeros_like
    return x**exponent, lambda g: g * (exponent * x ** (exponent - 1))


@op
def exp(x: Array) -> ValueAndVJPs:
    """e ** x."""
    y = np.exp(x)
    return y, lambda g: g * y


@op
def log(x: Array) -> ValueAndVJPs:
    """The natural logarithm."""
    return np.log(x), lambda g: g / x


@op
def sqrt(x: Array) -> ValueAndVJPs:
    """The square root."""
    y = np.sqrt(x)
    return y, lambda g: g / (2 * y)


@op
def bernoulli_kl(q: Array, *, p: float) -> ValueAndVJPs:
    """KL(p || q) = p log(p / q) + (1 - p) log((1 - p) / (1 - q)) of two coins, element by element.

    q: probabilities; 0 and 1, where KL is infinite, count as the nearest numbers in between. This
    is one op instead of ten: for the thousand units of a layer, calls cost more than arithmetic.
    """
    if not 0 < p < 1:
        raise ValueError(f"p is {p}, expected a probability between 0 and 1")
    limits = np.finfo(q.dtype)
    q = np.clip(q, limits.tiny, 1 - limits.epsneg)
    heads, tails = p / q, (1 - p) / (1 - q)
    kl = p * np.log(heads) + (1 - p) * np.log(tails)
    return kl, lambda g: g * (tails - heads)


@op
def absolute(x: Array) -> ValueAndVJPs:
    """|x|. At 0, where it has a corner, the gradient is 0."""
    return np.abs(x), lambda g: np.where(x == 0, 0, np.where(x < 0, -g, g))


# --- reductions ----------------------------------------------------------------------------------
# axis: one axis, several, or None for all; keepdims: keep the reduced axes, with length 1.


def _spread(g: Array, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Array:
    """Broadcast g, the gradient of a reduction over axis, to `shape`, the shape before it."""
    if not keepdims and axis is not None:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)


@op
def sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> ValueAndVJPs:
    """The sum over axis."""
    shape = x.shape
    return summed(x, axis, keepdims), lambda g: _spread(g, shape, axis, keepdims)


@op
def sum_of_squares(x: Array) -> ValueAndVJPs:
    """sum x^2, one number. The gradient takes one pass; that of a product and a sum takes three."""
    return np.square(x).sum(), lambda g: 2 * g * x


@op
def squared_distance(a: Array, b: Array) -> ValueAndVJPs:
    """sum (a - b)^2, of one shape: one number."""
    if a.shape != b.shape:
        raise ValueError(f"expected two arrays of one shape, got {a.shape} and {b.shape}")
    return (
        kernels.squared_distance(a, b),
        lambda g: kernels.squared_distance_grad(g, a, b),
        lambda g: kernels.squared_distance_grad(g, b, a),
    )


@op
def mean(x: Array, *, axis: Any = None, keepdims: bool = False) -> ValueAndVJPs:
    """The mean over axis. Raises ValueError if there are no elements."""
    total, shape = summed(x, axis, keepdims), x.shape
    if not x.size and total.size:
        raise ValueError("no mean of nothing")
    count = x.size / total.size if total.size else 1
    return total / count, lambda g: _spread(g / count, shape, axis, keepdims)


@op
def max(x: Array, *, axis: Any = None, keepdims: bool = False) -> ValueAndVJPs:
    """The maximum over axis. Where several elements reach it, they share the gradient equally."""
    y = x.max(axis=axis, keepdims=keepdims)

    def grad_x(g: Array) -> Array:
        reached = x == _spread(y, x.shape, axis, keepdims)
        count = reached.sum(axis=axis, keepdims=keepdims).astype(x.dtype)
        return np.where(reached, _spread(g / count, x.shape, axis, keepdims), 0)

    return y, grad_x
