"""Exercises of lesson 6. Test your answers with `pytest -m lesson06`."""

from __future__ import annotations

import numpy as np


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return (before, behind): the zeros along one side of a picture for 'same' padding.

    The output has ceil(size / stride) pixels. An odd zero goes behind. Neither number is below 0.
    """
    raise NotImplementedError


def im2col(x: np.ndarray, window: int, stride: int) -> np.ndarray:
    """x (N, H, W, C) -> (N P Q, window * window * C): every window is a row; no padding.

    Windows begin at every stride-th pixel, P = (H - window) // stride + 1. Within a row come the
    window's rows, then its columns, then channels.
    """
    raise NotImplementedError


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    """x (N, H, W, C), w (K, K, C, O), b (O,) -> (N, P, Q, O), with 'same' padding, by one product
    of matrices."""
    raise NotImplementedError
