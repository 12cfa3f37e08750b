"""Sums of arrays and of channels, kept in float64, and what batch normalisation makes of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...device import Array
from .. import checks
from . import launch

ROWS = 32  # that each thread adds up, at least
PARTS = 512  # sums of parts, that a second launch adds up, at most
FLOAT64 = np.dtype(np.float64)


def _check(what: str, rows: tuple[Array, ...], channels: tuple[Array, ...] = ()) -> list[Array]:
    """Arrays of one shape (..., C), followed by arrays (C,)."""
    x = rows[0]
    checks.has_channels(what, x)
    for array, shape in [(a, x.shape) for a in rows] + [(a, x.shape[-1:]) for a in channels]:
        launch.check_shape(what, array, shape)
    return launch.check(what, *rows, *channels)


def _sizes(x: Array) -> tuple[int, int]:
    """(rows, C) of x (..., C)."""
    return math.prod(x.shape[:-1]), x.shape[-1]


def _grid(rows: int, C: int, most: int) -> tuple[int, int]:
    """Blocks for pieces of a row and for parts of the rows, as struct Lane deals them out."""
    at_once = launch.THREADS // min(max(1, C), launch.THREADS)
    parts = math.ceil(rows / (at_once * ROWS))
    return math.ceil(C / launch.THREADS), max(1, min(most, parts))


def _parts(kernel: str, x: Array, arguments: list[Any], sums: int) -> Array:
    """(parts, sums, C): what the first of two launches adds up."""
    rows, C = _sizes(x)
    grid = _grid(rows, C, PARTS)
    parts = launch.empty((grid[1], sums, C), FLOAT64)
    launch.launch(kernel, x.dtype, grid, *arguments, parts, rows, C)
    return parts


def _totals(parts: Array, dtype: np.dtype) -> Array:
    """(sums, C)."""
    count, sums, C = parts.shape
    out = launch.empty((sums, C), dtype)
    launch.launch("totals<T>", dtype, (_grid(count, sums * C, 1)), parts, out, count, sums * C)
    return out


def channel_sum(x: Array) -> Array:
    return _totals(_parts("channel_sum<T>", x, _check("channel_sum", (x,)), 1), x.dtype)[0]


def batch_norm_sums(g: Array, x: Array, mean: Array, slope: float) -> tuple[Array, Array]:
    arguments = [*_check("batch_norm_sums", (g, x), (mean,)), float(slope)]
    total, weighted = _totals(_parts("batch_norm_sums<T>", x, arguments, 2), x.dtype)
    return total, weighted


def squared_distance(a: Array, b: Array) -> Array:
    given = [x.reshape(-1, 1) for x in _check("squared_distance", (a, b))]
    return _totals(_parts("squared_distance<T>", given[0], given, 1), a.dtype).reshape(())


def moments(x: Array, slope: float) -> tuple[Array, Array]:
    (x,) = _check("moments", (x,))
    rows, C = _sizes(x)
    if not rows:
        raise ValueError(f"moments: no mean of nothing, x is {x.shape}")
    parts = _parts("moments<T>", x, [x, float(slope)], 2)
    out, grid = launch.empty((2, C), x.dtype), _grid(len(parts), C, 1)
    launch.launch(
        "moments_totals<T>", x.dtype, grid, parts, x, float(slope), out, len(parts), rows, C
    )
    return out[0], out[1]


def _map(kernel: str, x: Array, arguments: list[Any]) -> Array:
    """A new array of what the kernel makes of the arguments."""
    (rows, C), y = _sizes(x), launch.empty(x.shape, x.dtype)
    grid = _grid(rows, C, launch.BLOCKS)
    launch.launch(kernel, x.dtype, grid if rows else (0,), *arguments, y, rows, C)
    return y


def normalize(x: Array, mean: Array, scale: Array, shift: Array, slope: float) -> Array:
    arguments = _check("normalize", (x,), (mean, scale, shift))
    return _map("normalize<T>", x, [*arguments, float(slope)])


def batch_norm_grad(
    g: Array, x: Array, mean: Array, scale: Array, a: Array, b: Array, slope: float
) -> Array:
    arguments = _check("batch_norm_grad", (g, x), (mean, scale, a, b))
    return _map("batch_norm_grad<T>", x, [*arguments, float(slope)])
