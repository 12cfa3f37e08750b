"""Convolution of a doubled picture: transforms of differences around nine matrix products.

The algebra is in `doubling`: V are the nine transforms of x, U those of the window, P = V U. It
goes in chunks of pictures, of bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...device import Array
from . import launch
from .gemm import add, matmul, product


def _chunks(x: Array, O: int) -> Iterator[slice]:
    """Pieces of the pictures (N, H, W, C) whose V and P fit into a chunk."""
    N, H, W, C = x.shape
    return launch.chunks(N, 9 * H * W * (C + O), x.dtype)


def _factors(w: Array) -> Array:
    """U (9, C, O) of w (3, 3, C, O)."""
    U = launch.empty((9, *w.shape[2:]), w.dtype)
    launch.launch("window_factors<T>", w.dtype, launch.blocks(U[0].size), w, U, U[0].size)
    return U


def _transform(x: Array) -> Array:
    """V (9, pixels, C) of x (N, H, W, C)."""
    N, H, W, C = x.shape
    V = launch.empty((9, N * H * W, C), x.dtype)
    launch.launch("transform<T>", x.dtype, launch.blocks(x.size), x, V, x.size, H, W, C)
    return V


def _combine_back(g: Array) -> Array:
    """P's gradients (9, pixels, O) from g (N, 2H, 2W, O)."""
    (N, H2, W2, O), size = g.shape, g.size // 4
    P = launch.empty((9, N * H2 * W2 // 4, O), g.dtype)
    launch.launch("combine_back<T>", g.dtype, launch.blocks(size), g, P, size, W2 // 2, O)
    return P


def upsample_conv2d(x: Array, w: Array, b: Array) -> Array:
    (N, H, W, C), O = x.shape, w.shape[3]
    launch.check_shape("upsample_conv2d: w", w, (3, 3, C, O))
    launch.check_shape("upsample_conv2d: b", b, (O,))
    x, w, b = launch.check("upsample_conv2d", x, w, b)
    if not (x.size and w.size):
        return np.zeros_like(x, shape=(N, 2 * H, 2 * W, O)) + b
    U, y = _factors(w), launch.empty((N, 2 * H, 2 * W, O), x.dtype)
    for n in _chunks(x, O):
        P = matmul(_transform(x[n]), U)
        size = P[0].size
        launch.launch("combine<T>", x.dtype, launch.blocks(size), P, b, y[n], size, W, O)
    return y


def upsample_conv2d_grad_x(g: Array, w: Array) -> Array:
    (N, H2, W2, O), C = g.shape, w.shape[2]
    launch.check_shape("upsample_conv2d_grad_x: w", w, (3, 3, C, O))
    launch.check_shape("upsample_conv2d_grad_x: g", g, (N, H2 // 2 * 2, W2 // 2 * 2, O))
    g, w = launch.check("upsample_conv2d_grad_x", g, w)
    H, W = H2 // 2, W2 // 2
    if not (g.size and w.size):
        return np.zeros_like(g, shape=(N, H, W, C))
    back, dx = _factors(w).transpose(0, 2, 1), launch.empty((N, H, W, C), g.dtype)
    for n in _chunks(dx, O):
        V, part = matmul(_combine_back(g[n]), back), dx[n]
        launch.launch(
            "transform_back<T>", g.dtype, launch.blocks(part.size), V, part, part.size, H, W, C
        )
    return dx


def upsample_conv2d_grad_w(x: Array, g: Array) -> Array:
    (N, H, W, C), O = x.shape, g.shape[3]
    launch.check_shape("upsample_conv2d_grad_w: g", g, (N, 2 * H, 2 * W, O))
    x, g = launch.check("upsample_conv2d_grad_w", x, g)
    if not (x.size and g.size):
        return np.zeros_like(x, shape=(3, 3, C, O))
    chunks = list(_chunks(x, O))
    parts = launch.empty((len(chunks), 9, C, O), x.dtype)
    for part, n in zip(parts, chunks, strict=True):
        product(_transform(x[n]).transpose(0, 2, 1), _combine_back(g[n]), out=part)
    dU, dw = launch.empty((9, C, O), x.dtype), launch.empty((3, 3, C, O), x.dtype)
    add(parts, dU)
    launch.launch("window_back<T>", x.dtype, launch.blocks(C * O), dU, dw, C * O)
    return dw
