"""Convolution of a doubled picture: transforms of differences around nine matrix products.

The algebra is in `doubling`: V are the nine transforms of x, U those of the window, P = V U. It
goes in chunks of pictures, of bounded memory. The functions use nothing but the arrays' own
protocol, and run on NumPy's arrays too.
"""

from __future__ import annotations

from collections.abc import Iterator

import cupy

from ...device import Array
from .. import doubling

CHUNK = 256 << 20  # bytes of a chunk's V and P together


def _chunks(x_shape: tuple[int, ...], O: int, itemsize: int) -> Iterator[slice]:
    N, H, W, C = x_shape
    size = max(1, CHUNK // (9 * H * W * (C + O) * itemsize))
    for start in range(0, N, size):
        yield slice(start, min(N, start + size))


def _transform(x: Array) -> Array:
    """V (9, pixels, C) of x (N, H, W, C): (x[i], d[i], d[i+1]) along the rows, then the columns."""
    xp, (N, H, W, C) = cupy.get_array_module(x), x.shape
    rows = xp.zeros((3, N, H, W + 2, C), x.dtype)  # with a pixel of zeros at either end
    rows[0, :, :, 1:-1] = x
    rows[1, :, :, 1:-1] = x
    rows[1, :, 1:, 1:-1] -= x[:, :-1]
    rows[2, :, :, 1:-1] = -x
    rows[2, :, :-1, 1:-1] += x[:, 1:]
    V = xp.empty((3, 3, N, H, W, C), x.dtype)
    V[:, 0] = rows[..., 1:-1, :]
    xp.subtract(rows[..., 1:-1, :], rows[..., :-2, :], out=V[:, 1])
    xp.subtract(rows[..., 2:, :], rows[..., 1:-1, :], out=V[:, 2])
    return V.reshape(9, -1, C)


def _transform_back(V: Array, dx: Array) -> None:
    """The transpose of _transform: dx (N, H, W, C) becomes x's gradient from V's (9, pixels, C)."""
    V = V.reshape(3, 3, *dx.shape)
    rows = V[:, 0] + V[:, 1] - V[:, 2]
    rows[..., :-1, :] -= V[:, 1, ..., 1:, :]
    rows[..., 1:, :] += V[:, 2, ..., :-1, :]
    dx[...] = rows[0] + rows[1] - rows[2]
    dx[:, :-1] -= rows[1, :, 1:]
    dx[:, 1:] += rows[2, :, :-1]


def _combine(P: Array, b: Array, y: Array) -> None:
    """y (N, H, 2, W, 2, O) from P (9, pixels, O): each of its four phases is a sum of four."""
    N, H, _, W, _, O = y.shape
    P = P.reshape(3, 3, N, H, W, O)
    for below in range(2):
        rows = P[0] + P[1 + below]
        rows[0] += b
        for right in range(2):
            y[:, :, below, :, right] = rows[0] + rows[1 + right]


def _combine_back(g: Array) -> Array:
    """The transpose of _combine: the gradients of P (9, pixels, O) from g (N, H, 2, W, 2, O)."""
    xp, (N, H, _, W, _, O) = cupy.get_array_module(g), g.shape
    P = xp.empty((3, 3, N, H, W, O), g.dtype)
    for below in range(2):
        for right in range(2):
            P[1 + below, 1 + right] = g[:, :, below, :, right]
    P[1:, 0] = P[1:, 1] + P[1:, 2]
    P[0] = P[1] + P[2]
    return P.reshape(9, -1, O)


def upsample_conv2d(x: Array, w: Array, b: Array) -> Array:
    (N, H, W, _), O, xp = x.shape, w.shape[3], cupy.get_array_module(x)
    U, y = doubling.of_window(w), xp.empty((N, H, 2, W, 2, O), x.dtype)
    for n in _chunks(x.shape, O, x.dtype.itemsize):
        _combine(_transform(x[n]) @ U, b, y[n])
    return y.reshape(N, 2 * H, 2 * W, O)


def upsample_conv2d_grad_x(g: Array, w: Array) -> Array:
    xp, N, H, W = cupy.get_array_module(g), g.shape[0], g.shape[1] // 2, g.shape[2] // 2
    C, O = w.shape[2:]
    g, dx = g.reshape(N, H, 2, W, 2, O), xp.empty((N, H, W, C), g.dtype)
    U = xp.ascontiguousarray(doubling.of_window(w).transpose(0, 2, 1))
    for n in _chunks(dx.shape, O, g.dtype.itemsize):
        _transform_back(_combine_back(g[n]) @ U, dx[n])
    return dx


def upsample_conv2d_grad_w(x: Array, g: Array) -> Array:
    (N, H, W, C), O, xp = x.shape, g.shape[3], cupy.get_array_module(x)
    g, dU = g.reshape(N, H, 2, W, 2, O), xp.zeros((9, C, O), x.dtype)
    for n in _chunks(x.shape, O, x.dtype.itemsize):
        V, P = _transform(x[n]), _combine_back(g[n])
        for u, v, p in zip(dU, V, P, strict=True):  # a product of one pair takes v.T without a copy
            u += v.T.dot(p)
    return doubling.to_window(dU)
