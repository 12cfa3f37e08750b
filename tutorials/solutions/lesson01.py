"""Solutions of lesson 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import Tensor, gradients

GradientFunction = Callable[[np.ndarray], np.ndarray]


def divide(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, GradientFunction, GradientFunction]:
    """The slope of a / b along a is 1 / b, along b it is -a / b^2."""
    return a / b, lambda g: g / b, lambda g: -g * a / b**2


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """First the axes in front, then those of length 1."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def descend(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], rate: float, steps: int
) -> list[float]:
    """All gradients first, at one point; then all steps."""
    losses = []
    for _ in range(steps):
        loss = loss_of()
        losses.append(loss.item())
        for parameter, g in zip(parameters, gradients(loss, parameters), strict=True):
            parameter.data = parameter.data - rate * g
    return losses


def _one_at_a_time(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], rate: float, steps: int
) -> list[float]:
    losses = []
    for _ in range(steps):
        losses.append(loss_of().item())
        for parameter in parameters:  # the second gradient is taken after the first step
            (g,) = gradients(loss_of(), [parameter])
            parameter.data = parameter.data - rate * g
    return losses


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "divide": [
        lambda a, b: (a / b, lambda g: g / b, lambda g: g * a / b**2),  # the sign
        lambda a, b: (a / b, lambda g: 1 / b, lambda g: -a / b**2),  # g forgotten
    ],
    "unbroadcast": [
        lambda g, shape: g.sum(axis=tuple(range(g.ndim - len(shape)))),
        lambda g, shape: g.reshape(-1, *shape)[0],  # one of the paths instead of their sum
        lambda g, shape: g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1)),
    ],
    "descend": [
        lambda loss_of, parameters, rate, steps: descend(loss_of, parameters, -rate, steps),
        _one_at_a_time,
    ],
}
