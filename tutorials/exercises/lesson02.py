"""Exercises of lesson 2. Test your answers with `pytest -m lesson02`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minidl import Tensor


def numeric_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    """Return an array like x: the slope of f along every element, by steps of eps to both sides.

    x is float64. You may change it, but restore it at the end.
    """
    raise NotImplementedError


def is_right(function: Callable[..., Tensor], arrays: Sequence[np.ndarray]) -> bool:
    """Return True if the gradients of the op `function` at these float64 arrays are right.

    No op must be able to hide a mistake: think of the softmax. An error of one in a million
    of the largest element counts as wrong. Use `minidl.gradients`.
    """
    raise NotImplementedError


def direction_error(
    loss_of: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    rng: np.random.Generator,
    eps: float = 1e-5,
) -> float:
    """Return |measured - predicted| / |measured| in one random direction of all parameters.

    Draw a direction d with standard normal elements. Measured: the slope of the loss along d, from
    two computations of the loss. Predicted: g . d, with g from `minidl.gradients`. The parameters
    are float64. Restore them at the end.
    """
    raise NotImplementedError
