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


def _rows(*arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays (..., C) of one shape and type, each as (rows, C)."""
    if len({(a.shape, a.dtype) for a in arrays}) > 1:  # a loop would run past the shortest's end
        given = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise ValueError(f"kernel: expected arrays of one shape and type, got {given}")
    return [np.ascontiguousarray(a).reshape(-1, a.shape[-1]) for a in arrays]


def _channels(x: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays (C,) of x's type, for x (..., C)."""
    for a in arrays:
        if (a.shape, a.dtype) != (x.shape[-1:], x.dtype):
            raise ValueError(
                f"kernel: expected {x.shape[-1:]} {x.dtype} beside x {x.shape},"
                f" got {a.shape} {a.dtype}"
            )
    return [np.ascontiguousarray(a) for a in arrays]


def channel_sum(x: np.ndarray) -> np.ndarray:
    total = np.zeros(x.shape[-1])
    _channel_sum(*_rows(x), total)
    return total.astype(x.dtype)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (rows,) = _rows(x)
    if not len(rows):
        raise ValueError(f"moments: no mean of nothing, x is {x.shape}")
    total, squares = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    _moments(rows, total, squares)
    mean = total / len(rows)
    variance = np.maximum(squares / len(rows) - mean * mean, 0)
    return (rows[0] + mean).astype(x.dtype), variance.astype(x.dtype)


def normalize(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    y = np.empty(x.shape, x.dtype)
    rows, out = _rows(x, y)
    _normalize(rows, *_channels(x, mean, scale, shift), out)
    return y


def channel_sums(g: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total, weighted = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    _channel_sums(*_rows(g, x), *_channels(x, mean), total, weighted)
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
    *rows, out = _rows(g, x, dx)
    _batch_norm_grad(*rows, *_channels(x, mean, scale, a, b), out)
    return dx
