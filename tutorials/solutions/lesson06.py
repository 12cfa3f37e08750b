"""Solutions of lesson 6."""

from __future__ import annotations

from typing import Any

import numpy as np


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """The last window ends at (outputs - 1) stride + window."""
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + window - size)
    return total // 2, total - total // 2


def im2col(x: np.ndarray, window: int, stride: int) -> np.ndarray:
    """Take a view of all windows, every stride-th of it, and copy it in rows."""
    views = np.lib.stride_tricks.sliding_window_view(x, (window, window), axis=(1, 2))
    views = views[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    return views.reshape(-1, window * window * x.shape[3])


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    """Pad with zeros, copy windows into rows, and multiply once."""
    (N, H, W, _), (K, _, _, O) = x.shape, w.shape
    padded = np.pad(x, [(0, 0), same_padding(H, K, stride), same_padding(W, K, stride), (0, 0)])
    y = im2col(padded, K, stride) @ w.reshape(-1, O) + b
    return y.reshape(N, -(-H // stride), -(-W // stride), O)


def _odd_zero_before(size: int, window: int, stride: int) -> tuple[int, int]:
    before, behind = same_padding(size, window, stride)
    return behind, before


def _channels_first(x: np.ndarray, window: int, stride: int) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(x, (window, window), axis=(1, 2))
    return views[:, ::stride, ::stride].reshape(-1, window * window * x.shape[3])


def _mirrored(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    return conv2d(x, w[::-1, ::-1], b, stride)


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "same_padding": [
        _odd_zero_before,
        lambda size, window, stride: (window // 2, window // 2),
        lambda size, window, stride: same_padding(size, window, 1),
    ],
    "im2col": [_channels_first, lambda x, window, stride: im2col(x, window, 1)],
    "conv2d": [_mirrored],
}
