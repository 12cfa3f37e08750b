"""Statistics of channels, and what batch normalisation makes of them. Sums are kept in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from . import threads
from .compiling import compiled
from .memory import empty_like
from .threads import GRAIN


@compiled
def _channel_sum(x, total):
    for r in range(x.shape[0]):
        for c in range(total.size):
            total[c] += x[r, c]


@compiled
def _moments(x, origin, total, squares):
    """Sums of x - origin and of its square. The first row of all is no further from the mean than
    sqrt(rows) standard deviations: nothing cancels when the mean's square is subtracted."""
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
    checks.alike("kernel", *arrays)
    return [np.ascontiguousarray(a).reshape(-1, a.shape[-1]) for a in arrays]


def _channels(x: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays (C,) of x's type, for x (..., C)."""
    for a in arrays:
        if (a.shape, a.dtype) != (x.shape[-1:], x.dtype):
            raise ValueError(
                f"kernel: expected {x.shape[-1:]} {x.dtype} beside x {x.shape},"
                f" got {a.shape} {a.dtype}"
            )
    return [
        np.require(a, requirements=["C", "W"]) for a in arrays
    ]  # read-only is another type to Numba


def _totals(loop: Any, rows: list[np.ndarray], *channels: np.ndarray, sums: int) -> np.ndarray:
    """The sums (sums, C) that `loop` adds up over the rows: those of each thread, in order."""
    C = rows[0].shape[1]

    def part(first: int, last: int) -> np.ndarray:
        totals = np.zeros((sums, C))
        loop(*(a[first:last] for a in rows), *channels, *totals)
        return totals

    return np.sum(threads.split(part, len(rows[0]), grain=-(-GRAIN // max(1, C))), axis=0)


def _map(loop: Any, rows: list[np.ndarray], *channels: np.ndarray) -> None:
    """loop over all rows, the last of which it writes."""

    def part(first: int, last: int) -> None:
        *given, out = (a[first:last] for a in rows)
        loop(*given, *channels, out)

    threads.split(part, len(rows[0]), grain=-(-GRAIN // max(1, rows[0].shape[1])))


def channel_sum(x: np.ndarray) -> np.ndarray:
    return _totals(_channel_sum, _rows(x), sums=1)[0].astype(x.dtype)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (rows,) = _rows(x)
    if not len(rows):
        raise ValueError(f"moments: no mean of nothing, x is {x.shape}")
    mean, squares = _totals(_moments, [rows], rows[0], sums=2) / len(rows)
    variance = np.maximum(squares - mean * mean, 0)
    return (rows[0] + mean).astype(x.dtype), variance.astype(x.dtype)


def normalize(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    y = empty_like(x)
    _map(_normalize, _rows(x, y), *_channels(x, mean, scale, shift))
    return y


def channel_sums(g: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total, weighted = _totals(_channel_sums, _rows(g, x), *_channels(x, mean), sums=2)
    return total.astype(x.dtype), weighted.astype(x.dtype)


def batch_norm_grad(
    g: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    dx = empty_like(x)
    _map(_batch_norm_grad, _rows(g, x, dx), *_channels(x, mean, scale, a, b))
    return dx
