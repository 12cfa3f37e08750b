"""Solutions of lesson 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import Tensor, gradients


def numeric_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    """One element at a time; the old value is put back, not computed back."""
    slopes = np.empty_like(x)
    for at in np.ndindex(x.shape):
        value = x[at]
        x[at] = value + eps
        above = f(x)
        x[at] = value - eps
        below = f(x)
        x[at] = value
        slopes[at] = (above - below) / (2 * eps)
    return slopes


def is_right(function: Callable[..., Tensor], arrays: Sequence[np.ndarray]) -> bool:
    """Compare with small steps, with random weights on the output."""
    tensors = [Tensor(array) for array in arrays]
    y = function(*tensors)
    weights = np.random.default_rng(0).normal(size=y.shape)
    for tensor, g in zip(tensors, gradients((y * weights).sum(), tensors), strict=True):
        slopes = numeric_gradient(lambda _: (function(*tensors).data * weights).sum(), tensor.data)
        if np.abs(g - slopes).max() > 1e-6 * max(np.abs(g).max(), np.abs(slopes).max()):
            return False
    return True


def direction_error(
    loss_of: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    rng: np.random.Generator,
    eps: float = 1e-5,
) -> float:
    """The slope along d is g . d, by the chain rule."""
    directions = [rng.normal(size=p.shape) for p in parameters]
    grads = gradients(loss_of(), parameters)
    foretold = sum(float((g * d).sum()) for g, d in zip(grads, directions, strict=True))
    before, losses = [p.data for p in parameters], []
    for step in (eps, -eps):
        for p, value, d in zip(parameters, before, directions, strict=True):
            p.data = value + step * d
        losses.append(loss_of().item())
    for p, value in zip(parameters, before, strict=True):
        p.data = value
    measured = (losses[0] - losses[1]) / (2 * eps)
    return abs(measured - foretold) / abs(measured)


def _one_side(f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    slopes, here = np.empty_like(x), f(x)
    for at in np.ndindex(x.shape):
        value = x[at]
        x[at] = value + eps
        slopes[at] = (f(x) - here) / eps
        x[at] = value
    return slopes


def _forgets_to_put_back(
    f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    slopes = np.empty_like(x)
    for at in np.ndindex(x.shape):
        x[at] += eps
        above = f(x)
        x[at] -= 2 * eps
        slopes[at] = (above - f(x)) / (2 * eps)
    return slopes


def _by_sum(function: Callable[..., Tensor], arrays: Sequence[np.ndarray]) -> bool:
    tensors = [Tensor(array) for array in arrays]
    for tensor, g in zip(tensors, gradients(function(*tensors).sum(), tensors), strict=True):
        slopes = numeric_gradient(lambda _: function(*tensors).data.sum(), tensor.data)
        if np.abs(g - slopes).max() > 1e-6:
            return False
    return True


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "numeric_gradient": [_one_side, _forgets_to_put_back],
    "is_right": [_by_sum, lambda function, arrays: True, lambda function, arrays: False],
    "direction_error": [
        lambda loss_of, parameters, rng, eps=1e-5: 0.0,
        lambda loss_of, parameters, rng, eps=1e-5: direction_error(
            loss_of, parameters[:1], rng, eps
        ),
    ],
}
