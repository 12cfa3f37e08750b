"""Convolution as matrix products, over chunks of windows of bounded memory.

A chunk is some whole pictures, or some rows of one where a single picture is too large. Its windows
are copied side by side out of a padded copy of the pictures, through a view in which they overlap,
and cuBLAS multiplies them with all output channels. The gradient of x adds the windows' gradients
up, one tap after the other: each tap is a strided slice, so that no two threads add to one place.

The functions use nothing but the arrays' own protocol, and run on NumPy's arrays too.
"""

from __future__ import annotations

from collections.abc import Iterator

import cupy

from ...device import Array
from .. import mirror

CHUNK = 256 << 20  # bytes of a chunk's windows


def _padded(x: Array, pad: tuple[int, int, int, int]) -> Array:
    """x with zeros around it: (N, top + H + bottom, left + W + right, C), C-contiguous."""
    (N, H, W, C), (top, bottom, left, right) = x.shape, pad
    xp = cupy.get_array_module(x)
    if not any(pad):
        return xp.ascontiguousarray(x)
    padded = xp.zeros((N, top + H + bottom, left + W + right, C), x.dtype)
    padded[:, top : top + H, left : left + W] = x
    return padded


def _windows(padded: Array, outputs: tuple[int, int], window: tuple[int, int], s: int) -> Array:
    """Every window of the padded pictures, (N, P, Q, K, L, C): a view, in which they overlap."""
    xp, (n, h, w, c) = cupy.get_array_module(padded), padded.strides
    shape = (padded.shape[0], *outputs, *window, padded.shape[3])
    return xp.lib.stride_tricks.as_strided(padded, shape, (n, s * h, s * w, h, w, c))


def _chunks(N: int, P: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """(pictures, rows of output pixels) of each chunk; row_bytes: the windows of one such row."""
    pictures = CHUNK // (P * row_bytes)
    if pictures:
        for n in range(0, N, pictures):
            yield slice(n, min(N, n + pictures)), slice(0, P)
        return
    rows = max(1, CHUNK // row_bytes)
    for n in range(N):
        for p in range(0, P, rows):
            yield slice(n, n + 1), slice(p, min(P, p + rows))


def conv2d(
    x: Array, w: Array, b: Array | None, stride: int, pad: tuple[int, int, int, int]
) -> Array:
    (N, H, W, _), (K, L, C, O), xp = x.shape, w.shape, cupy.get_array_module(x)
    P, Q = (pad[0] + H + pad[1] - K) // stride + 1, (pad[2] + W + pad[3] - L) // stride + 1
    if mirror.pays(C, O, stride, pad, (K, L)):
        y = conv2d_grad_x(x, mirror.window_of(w), (P, Q), 1, mirror.pad_of(pad, (K, L)))
        return y if b is None else y + b
    y, flat_w = xp.empty((N, P, Q, O), x.dtype), xp.ascontiguousarray(w).reshape(-1, O)
    windows = _windows(_padded(x, pad), (P, Q), (K, L), stride)
    for n, p in _chunks(N, P, Q * K * L * C * x.dtype.itemsize):
        # whole pictures, or rows of one picture: the slice of y is one run of memory
        windows[n, p].reshape(-1, K * L * C).dot(flat_w, out=y[n, p].reshape(-1, O))
    if b is not None:
        y += b
    return y


def conv2d_grad_x(
    g: Array, w: Array, size: tuple[int, int], stride: int, pad: tuple[int, int, int, int]
) -> Array:
    (N, P, Q, O), (K, L, C, _), (H, W), s = g.shape, w.shape, size, stride
    (top, bottom, left, right), xp = pad, cupy.get_array_module(g)
    if mirror.pays(C, O, stride, pad, (K, L)):
        return conv2d(g, mirror.window_of(w), None, 1, mirror.pad_of(pad, (K, L)))
    dx = xp.zeros((N, top + H + bottom, left + W + right, C), g.dtype)
    g, flat_w = xp.ascontiguousarray(g), xp.ascontiguousarray(w).reshape(-1, O)
    for n, p in _chunks(N, P, Q * K * L * C * g.dtype.itemsize):
        rows = p.stop - p.start
        windows = g[n, p].reshape(-1, O).dot(flat_w.T).reshape(-1, rows, Q, K, L, C)
        for k in range(K):
            first = s * p.start + k
            seen = slice(first, first + s * (rows - 1) + 1, s)
            for l in range(L):
                dx[n, seen, l : l + s * (Q - 1) + 1 : s] += windows[:, :, :, k, l]
    return xp.ascontiguousarray(dx[:, top : top + H, left : left + W])


def conv2d_grad_w(
    x: Array, g: Array, window: tuple[int, int], stride: int, pad: tuple[int, int, int, int]
) -> Array:
    (N, P, Q, O), (K, L), C, xp = g.shape, window, x.shape[3], cupy.get_array_module(x)
    if mirror.pays(C, O, stride, pad, window):
        return mirror.window_of(conv2d_grad_w(g, x, window, 1, mirror.pad_of(pad, window)))
    dw, g = xp.zeros((K * L * C, O), x.dtype), xp.ascontiguousarray(g)
    windows = _windows(_padded(x, pad), (P, Q), window, stride)
    for n, p in _chunks(N, P, Q * K * L * C * x.dtype.itemsize):
        dw += windows[n, p].reshape(-1, K * L * C).T.dot(g[n, p].reshape(-1, O))
    return dw.reshape(K, L, C, O)
