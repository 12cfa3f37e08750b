"""Sums over axes, in float64 on the way.

NumPy adds neighbours in memory in pairs, but rows one after another: in float32, a million of them
lose digits, and more than 2^24 equal ones are not even counted.
"""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from .. import kernels
from ..device import Array

LARGE = 1 << 15  # numbers, from which on threads are worth the call


def summed(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The sum over axis, of x's type: as x.sum, and exact to its last digit.

    Raises AxisError for an axis that x does not have, ValueError for one given twice.
    """
    if x.dtype != np.float32 or (axis is None and x.flags.c_contiguous):
        return x.sum(axis=axis, keepdims=keepdims)
    first = leading(x, axis)
    if first and x.size >= LARGE and x.flags.c_contiguous:
        kept = x.shape[first:]
        total = kernels.channel_sum(x.reshape(-1, math.prod(kept)))
        return total.reshape((1,) * first * keepdims + kept)
    return x.sum(axis=axis, dtype=np.float64, keepdims=keepdims).astype(x.dtype)


def leading(x: Array, axis: Any) -> int:
    """Return the number of axes that are summed if they are the first ones but not all, else 0."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    found = sorted(i + x.ndim if index(i) < 0 else i for i in axes)
    return len(found) if found == list(range(len(found))) and len(found) < x.ndim else 0
