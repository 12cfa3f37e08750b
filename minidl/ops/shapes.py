"""The same elements in another shape or order, some of them, or several arrays as one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..tensor import op
from .grads import Grads


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
    """x[at]: integers, slices, None and ..., or arrays, in which an element may occur twice."""

    def grad_x(g: Array) -> Array:
        dx = np.zeros_like(x)
        dx[at] = g
        return dx

    def grad_x_by_arrays(g: Array) -> Array:
        places = np.arange(x.size, like=x).reshape(x.shape)[at]
        dx = np.bincount(places.reshape(-1), g.reshape(-1), x.size)  # in float64
        return dx.reshape(x.shape).astype(x.dtype)

    by_arrays = any(np.ndim(i) for i in (at if isinstance(at, tuple) else (at,)))
    return x[at], grad_x_by_arrays if by_arrays else grad_x


@op
def concatenate(*xs: Array, axis: int = 0) -> Grads:
    """Arrays joined along an axis; their other axes agree."""
    ends = [int(n) for n in np.cumsum([x.shape[axis] for x in xs])]

    def grad_of(i: int) -> Any:
        start, stop = ends[i] - xs[i].shape[axis], ends[i]
        before = (slice(None),) * (axis % xs[i].ndim)
        return lambda g: g[(*before, slice(start, stop))]

    return np.concatenate(xs, axis), *(grad_of(i) for i in range(len(xs)))
