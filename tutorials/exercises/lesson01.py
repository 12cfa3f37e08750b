"""Exercises of lesson 1. Test your answers with `pytest -m lesson01`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl import Tensor

GradientFunction = Callable[[np.ndarray], np.ndarray]


def divide(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, GradientFunction, GradientFunction]:
    """The op a / b of two arrays of one shape: its value, and one gradient function for each input.

    A gradient function takes g, how fast the loss changes with a / b, and returns how fast it
    changes with its input.
    """
    raise NotImplementedError


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum g over the axes along which NumPy has repeated an array of `shape` to make g's shape.

    Two things can have happened: axes were put in front, as from (4,) to (3, 4); and axes of
    length 1 were stretched, as from (3, 1) to (3, 4). The result has the shape `shape`.
    """
    raise NotImplementedError


def descend(
    loss_of: Callable[[], Tensor], parameters: list[Tensor], rate: float, steps: int
) -> list[float]:
    """Gradient descent: `steps` times, move every parameter by -rate times its gradient.

    loss_of() computes the loss from what the parameters are now. Change their `.data`. Returns the
    losses before each step. Use `minidl.gradients`.
    """
    raise NotImplementedError
