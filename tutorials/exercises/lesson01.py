"""Exercises of lesson 1. Test your answers with `pytest -m lesson01`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl import Tensor

GradientFunction = Callable[[np.ndarray], np.ndarray]


def divide(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, GradientFunction, GradientFunction]:
    """Return the value of a / b, for two arrays of one shape, and a gradient function for each.

    A gradient function takes g, the slope of the loss along a / b, and returns the slope of the
    loss along its input.
    """
    raise NotImplementedError


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum g over the axes along which NumPy repeated an array of `shape` to give it g's shape.

    There are two cases: axes were put in front, as from (4,) to (3, 4), or axes of length 1 were
    repeated, as from (3, 1) to (3, 4). Both can occur together. The result has the shape `shape`.
    """
    raise NotImplementedError


def descend(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], rate: float, steps: int
) -> list[float]:
    """Descend: `steps` times, move every parameter by -rate times its gradient.

    loss_of() computes the loss from the current parameters. Change their `.data`. Return the losses
    before each step. Use `minidl.gradients`.
    """
    raise NotImplementedError
