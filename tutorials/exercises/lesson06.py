"""Exercises of lesson 6. Test your answers with `pytest -m lesson06`."""

from __future__ import annotations

import numpy as np


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """(before, behind): the zeros along one side of a picture that 'same' asks for.

    The output shall have ceil(size / stride) pixels; an odd zero goes behind; never below 0.
    """
    raise NotImplementedError


def im2col(x: np.ndarray, window: int, stride: int) -> np.ndarray:
    """x (N, H, W, C) -> (N P Q, window * window * C): every window, a row; no padding.

    Windows begin at every stride-th pixel, P = (H - window) // stride + 1. Within a row the order
    is that of the window's rows, then its columns, then channels.
    """
    raise NotImplementedError


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    """x (N, H, W, C), w (K, K, C, O), b (O,) -> (N, P, Q, O), with 'same' padding, by one product
    of matrices."""
    raise NotImplementedError
