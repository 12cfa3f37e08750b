"""Statistics of channels, and what batch normalisation makes of them. Sums are kept in float64."""

from __future__ import annotations

import numpy as np

from .compiling import compiled


@compiled
def _channel_sum(x, total):
    for r in range(x.shape[0]):
        for c in range(total.size):
            total[c] += x[r, c]


@compiled
def _moments(x, total, squares):
    """Sums of x - x[0] and of its square. x[0] is no further from the mean than sqrt(rows) standard
    deviations, so that nothing cancels when the mean's square is subtracted."""
    origin = x[0]
    for r in range(x.shape[0]):
        for c in range(total.size):
            d = np.float64(x[r, c]) - np.float64(origin[c])
            total[c] += d
            squares[c] += d * d


@compiled
def _normalize(x, mean, scale, shift, y):
    for r in range(x.shape[0]):
        for c in range(mean.size):
            y[r, c] = (x[r, c] - mean[c]) * scale[c] + shift[c]


@compiled
def _channel_sums(g, x, mean, total, weighted):
    for r in range(g.shape[0]):
        for c in range(mean.size):
            total[c] += g[r, c]
            weighted[c] += g[r, c] * (x[r, c] - mean[c])


@compiled
def _batch_norm_grad(g, x, mean, scale, a, b, dx):
    for r in range(g.shape[0]):
        for c in range(mean.size):
            dx[r, c] = (g[r, c] - a[c] - b[c] * (x[r, c] - mean[c])) * scale[c]


def _matrix(x: np.ndarray) -> np.ndarray:
    """x (..., C) as (rows, C)."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def channel_sum(x: np.ndarray) -> np.ndarray:
    total = np.zeros(x.shape[-1])
    _channel_sum(_matrix(x), total)
    return total.astype(x.dtype)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = _matrix(x)
    total, squares = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    _moments(rows, total, squares)
    mean = total / len(rows)
    variance = np.maximum(squares / len(rows) - mean * mean, 0)
    return (rows[0] + mean).astype(x.dtype), variance.astype(x.dtype)


def normalize(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    y = np.empty(x.shape, x.dtype)
    _normalize(_matrix(x), mean, scale, shift, _matrix(y))
    return y


def channel_sums(g: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total, weighted = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    _channel_sums(_matrix(g), _matrix(x), mean, total, weighted)
    return total.astype(x.dtype), weighted.astype(x.dtype)


def batch_norm_grad(
    g: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    dx = np.empty(x.shape, x.dtype)
    _batch_norm_grad(_matrix(g), _matrix(x), mean, scale, a, b, _matrix(dx))
    return dx
