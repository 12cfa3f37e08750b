"""Solutions of lesson 7."""

from __future__ import annotations

from typing import Any

import numpy as np


def upsample_grad(g: np.ndarray, factor: int) -> np.ndarray:
    """Bring the copies side by side, and sum them."""
    N, H, W, C = g.shape
    return g.reshape(N, H // factor, factor, W // factor, factor, C).sum(axis=(2, 4))


def conv_transpose(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """w @ x[i, j] sums over the channels: (K, K, O, C) times (C,) is (K, K, O)."""
    (P, Q, _), (K, _, O, _) = x.shape, w.shape
    y = np.zeros(((P - 1) * stride + K, (Q - 1) * stride + K, O), x.dtype)
    for i, j in np.ndindex(P, Q):
        y[stride * i : stride * i + K, stride * j : stride * j + K] += w @ x[i, j]
    return y[pad : len(y) - pad, pad : y.shape[1] - pad]


def upsample_conv1d(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """y[2 i] = S x[i] - w0 d[i], y[2 i + 1] = S x[i] + w2 d[i + 1], with d[i] = x[i] - x[i - 1]."""
    d = np.diff(x, axis=0, prepend=0, append=0)
    shared = x @ (w[0] + w[1] + w[2])
    y = np.empty((2 * len(x), w.shape[2]), x.dtype)
    y[::2] = shared - d[:-1] @ w[0]
    y[1::2] = shared + d[1:] @ w[2]
    return y


def _six_products(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    padded = np.pad(x.repeat(2, axis=0), ((1, 1), (0, 0)))
    return sum((padded[k : k + 2 * len(x)] @ w[k] for k in range(3)), np.zeros(()))


def _wrong_sign(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return upsample_conv1d(x, np.stack([-w[0], w[1] + 2 * w[0], w[2]]))


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "upsample_grad": [
        lambda g, factor: g[:, ::factor, ::factor],  # one of the copies
        lambda g, factor: upsample_grad(g, factor) / factor**2,  # their mean
        lambda g, factor: upsample_grad(g, 2),
        lambda g, factor: upsample_grad(g.transpose(0, 2, 1, 3), factor).transpose(0, 2, 1, 3)[
            ::-1
        ],
    ],
    "conv_transpose": [
        lambda x, w, stride, pad: conv_transpose(x, w[::-1, ::-1], stride, pad),  # mirrored
        lambda x, w, stride, pad: conv_transpose(x, w, stride, pad + 1),
        lambda x, w, stride, pad: conv_transpose(x, w.transpose(1, 0, 2, 3), stride, pad),
    ],
    "upsample_conv1d": [_six_products, _wrong_sign],
}
