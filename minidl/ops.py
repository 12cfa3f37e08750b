"""Every differentiable operation: its value and, beside it, one gradient function per input.

`g` is always dL/dy, an array of y's shape; a gradient function is named after its input, or stands
in the order of the inputs. Arrays are NumPy's or CuPy's: they answer the same expressions, and what
neither says well is a kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernels
from .device import Array
from .tensor import op

Grads = Any  # (value, gradient function of input 0, of input 1, ...)


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum g over the axes along which an array of `shape` was repeated to g's shape."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=repeated, keepdims=True) if repeated else g


# --- arithmetic, with broadcasting ---------------------------------------------------------------


@op
def add(a: Array, b: Array) -> Grads:
    """a + b."""
    sa, sb = np.shape(a), np.shape(b)
    return a + b, lambda g: unbroadcast(g, sa), lambda g: unbroadcast(g, sb)


@op
def subtract(a: Array, b: Array) -> Grads:
    """a - b."""
    sa, sb = np.shape(a), np.shape(b)
    return a - b, lambda g: unbroadcast(g, sa), lambda g: unbroadcast(-g, sb)


@op
def multiply(a: Array, b: Array) -> Grads:
    """a * b, element by element."""
    sa, sb = np.shape(a), np.shape(b)
    return a * b, lambda g: unbroadcast(g * b, sa), lambda g: unbroadcast(g * a, sb)


@op
def divide(a: Array, b: Array) -> Grads:
    """a / b, element by element."""
    sa, sb, y = np.shape(a), np.shape(b), a / b
    return y, lambda g: unbroadcast(g / b, sa), lambda g: unbroadcast(-g * y / b, sb)


@op
def negative(x: Array) -> Grads:
    """-x."""
    return -x, lambda g: -g


@op
def power(x: Array, *, exponent: float) -> Grads:
    """x ** exponent, for a constant exponent."""
    exponent = float(exponent)  # NumPy's scalars would widen a float32
    return x**exponent, lambda g: g * (exponent * x ** (exponent - 1))


@op
def exp(x: Array) -> Grads:
    """e ** x."""
    y = np.exp(x)
    return y, lambda g: g * y


@op
def log(x: Array) -> Grads:
    """The natural logarithm."""
    return np.log(x), lambda g: g / x


@op
def sqrt(x: Array) -> Grads:
    """The square root."""
    y = np.sqrt(x)
    return y, lambda g: g / (2 * y)


# --- reductions ----------------------------------------------------------------------------------
# axis: one axis, several, or None for all; keepdims: keep the reduced axes, with length 1.


def _spread(g: Array, x: Array, axis: Any, keepdims: bool) -> Array:
    """g, of the shape after a reduction of x over axis, seen in x's shape again."""
    if not keepdims and axis is not None:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, x.shape)


@op
def sum(x: Array, *, axis: Any = None, keepdims: bool = False) -> Grads:
    """The sum over axis."""
    return x.sum(axis=axis, keepdims=keepdims), lambda g: _spread(g, x, axis, keepdims)


@op
def mean(x: Array, *, axis: Any = None, keepdims: bool = False) -> Grads:
    """The mean over axis."""
    y = x.mean(axis=axis, keepdims=keepdims)
    return y, lambda g: _spread(g / (x.size / y.size), x, axis, keepdims)


@op
def max(x: Array, *, axis: Any = None, keepdims: bool = False) -> Grads:
    """The maximum over axis. Where several elements reach it, they share the gradient equally."""
    y = x.max(axis=axis, keepdims=keepdims)

    def grad_x(g: Array) -> Array:
        reached = (x == _spread(y, x, axis, keepdims)).astype(x.dtype)
        share = reached / reached.sum(axis=axis, keepdims=True)
        return _spread(g, x, axis, keepdims) * share

    return y, grad_x


# --- shapes --------------------------------------------------------------------------------------


@op
def reshape(x: Array, *, shape: tuple[int, ...]) -> Grads:
    """The same elements, in order, in another shape."""
    return x.reshape(shape), lambda g: g.reshape(x.shape)


@op
def transpose(x: Array, *, axes: tuple[int, ...] | None = None) -> Grads:
    """The axes in another order; None reverses them."""
    inverse = None if axes is None else tuple(int(i) for i in np.argsort(axes))
    return x.transpose(axes), lambda g: g.transpose(inverse)


@op
def index(x: Array, *, at: Any) -> Grads:
    """x[at]: integers, slices, None and ..., or integer arrays in which no element occurs twice."""

    def grad_x(g: Array) -> Array:
        dx = np.zeros_like(x)
        dx[at] = g
        return dx

    return x[at], grad_x


@op
def concatenate(*xs: Array, axis: int = 0) -> Grads:
    """Arrays joined along an axis; their other axes agree."""
    ends = [int(n) for n in np.cumsum([x.shape[axis] for x in xs])]

    def grad_of(i: int) -> Any:
        start, stop = ends[i] - xs[i].shape[axis], ends[i]
        before = (slice(None),) * (axis % xs[i].ndim)
        return lambda g: g[(*before, slice(start, stop))]

    return np.concatenate(xs, axis), *(grad_of(i) for i in range(len(xs)))


# --- activations ---------------------------------------------------------------------------------


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


# --- layers --------------------------------------------------------------------------------------


@op
def matmul(a: Array, b: Array) -> Grads:
    """a (N, K), b (K, M) -> (N, M)."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"expected (N, K) and (K, M), got {a.shape} and {b.shape}")
    return a @ b, lambda g: g @ b.T, lambda g: a.T @ g


@op
def linear(x: Array, w: Array, b: Array) -> Grads:
    """x (N, I), w (I, O), b (O,) -> x w + b (N, O)."""
    if x.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ValueError(f"x is {x.shape}, w expects (N, {w.shape[0]})")
    if np.shape(b) != w.shape[1:]:
        raise ValueError(f"b is {np.shape(b)}, w expects {w.shape[1:]}")
    y = x @ w
    y += b
    return y, lambda g: g @ w.T, lambda g: x.T @ g, lambda g: g.sum(axis=0)
