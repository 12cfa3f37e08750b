"""Never trust a gradient: compare it with finite differences.

The output is reduced to one number by random weights, never by a plain sum. A sum is blind: that
of a softmax or of normalised values does not depend on the input at all, and any gradient passes.
Everything is done in float64, away from the corners of functions that have some.
`gradcheck_cases.py` is the table of every op, loss and layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import ops
from .device import Array, to_cpu
from .tensor import Tensor, described, gradients

TOLERANCE = 1e-6  # a correct gradient stays below it by orders of magnitude


def check(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    rng: np.random.Generator,
    eps: float = 1e-5,
) -> float:
    """The largest relative error of d function(*inputs) / d input, over all elements of all inputs.

    inputs: float64 tensors; a function may also use tensors of its own, given here as inputs that
    it ignores. An element's error is relative to the larger of the two values, or to 1/100 of the
    largest in its array. Changes inputs and puts them back. Raises TypeError for anything but
    float64.
    """
    for x in inputs:
        if x.dtype != np.float64:
            raise TypeError(f"gradcheck: expected float64, got {described(x)}")
    y = function(*inputs)
    weights = np.asarray(rng.standard_normal(y.shape), like=y.data)

    found = gradients(ops.sum(y * weights), inputs)
    worst = 0.0
    for x, analytic in zip(inputs, found, strict=True):
        numeric = np.empty(x.shape)
        for at in np.ndindex(x.shape):
            value = float(x.data[at])
            above, below = (_with(function, inputs, x, at, value + e) for e in (eps, -eps))
            x.data[at] = value
            numeric[at] = float(((above - below) * weights).sum()) / (2 * eps)
        worst = max(worst, relative_error(to_cpu(analytic), numeric))
    return worst


def _with(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    x: Tensor,
    at: tuple[int, ...],
    value: float,
) -> Array:
    """The function's value with x[at] set to value. A copy: it may be a view of x."""
    x.data[at] = value
    return function(*inputs).data.copy()


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b|, each relative to max(|a|, |b|), or where both are small to 1/100 of
    the largest of all."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    size = np.maximum(np.abs(a), np.abs(b))
    return float((np.abs(a - b) / np.maximum(size, 0.01 * size.max() + 1e-12)).max())
