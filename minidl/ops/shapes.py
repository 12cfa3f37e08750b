"""The same elements in another shape or order, some of them, or several arrays as one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..device import Array
from ..lift import op
from .vjp import ValueAndVJPs


@op
def reshape(x: Array, *, shape: tuple[int, ...]) -> ValueAndVJPs:
    """The same elements, in order, in another shape; one of its sizes may be -1: the rest."""
    before = x.shape
    return x.reshape(shape), lambda g: g.reshape(before)


@op
def transpose(x: Array, *, axes: tuple[int, ...] | None = None) -> ValueAndVJPs:
    """The axes in another order; None reverses them. Axes below 0 count from the end."""
    y = x.transpose(axes)  # refuses axes that are none, or not all of x's
    inverse = None if axes is None else tuple(int(i) for i in np.argsort(np.mod(axes, x.ndim)))
    return y, lambda g: g.transpose(inverse)


@op
def index(x: Array, *, at: Any) -> ValueAndVJPs:
    """x[at]: integers, slices, None and ..., or arrays, in which an element may occur twice."""

    shape, size = x.shape, x.size

    def grad_x(g: Array) -> Array:
        dx = np.zeros(shape, g.dtype, like=g)
        dx[at] = g
        return dx

    def grad_x_by_arrays(g: Array) -> Array:
        places = np.arange(size, like=g).reshape(shape)[at]
        dx = np.bincount(places.reshape(-1), g.reshape(-1), size)  # in float64
        return dx.reshape(shape).astype(g.dtype)

    by_arrays = any(np.ndim(i) for i in (at if isinstance(at, tuple) else (at,)))
    return x[at], grad_x_by_arrays if by_arrays else grad_x


@op
def concatenate(*xs: Array, axis: int = 0) -> ValueAndVJPs:
    """Arrays joined along an axis; their other axes agree."""
    ends = [0, *(int(n) for n in np.cumsum([x.shape[axis] for x in xs]))]
    before = (slice(None),) * (axis % xs[0].ndim)

    def grad_of(start: int, stop: int) -> Any:
        return lambda g: g[(*before, slice(start, stop))]

    return np.concatenate(xs, axis), *(grad_of(*of_one) for of_one in pairwise(ends))
