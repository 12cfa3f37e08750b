"""Exercises of lesson 2. Test your answers with `pytest -m lesson02`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minidl import Tensor


def numeric_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    """The slope of f along every element of x, by steps of eps to both sides: an array like x.

    x is float64; it may be changed on the way, but must be the same at the end.
    """
    raise NotImplementedError


def is_right(function: Callable[..., Tensor], arrays: Sequence[np.ndarray]) -> bool:
    """Whether the gradients of the op `function` at these float64 arrays are right.

    The op must not be able to hide a mistake: think of the softmax. An error of one in a million
    of the largest element counts as wrong. Use `minidl.gradients`.
    """
    raise NotImplementedError


def direction_error(
    loss_of: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    rng: np.random.Generator,
    eps: float = 1e-5,
) -> float:
    """|measured - foretold| / |measured| in one random direction of all parameters together.

    Draw a direction d with standard normal elements. Measured: the slope of the loss along it, from
    two computations of the loss. Foretold: g . d, with g from `minidl.gradients`. The parameters
    are float64 and must be what they were at the end.
    """
    raise NotImplementedError
