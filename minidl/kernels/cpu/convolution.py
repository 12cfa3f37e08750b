"""Convolution as matrix products, over blocks of windows that fit the cache.

The windows that a block of output pixels sees are copied side by side, one row of a matrix for each
pixel, and multiplied with all output channels at once. With the channels last, a row of a window is
one run of memory. The matrix is small and used again for the next block, so that a convolution
needs no more memory than its arrays.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import mirror
from .compiling import compiled

BLOCK = 1 << 20  # numbers in a block's matrix of windows: 4 MB in float32


@compiled
def _pack(x, channels, windows, start, outputs, stride, top, left):
    """Copy the windows of the output pixels start, start + 1, ... out of x, zeros where they leave
    it. x (N, H, W C); windows (pixels, K, L C); outputs (P, Q)."""
    _, H, WC = x.shape
    count, K, LC = windows.shape
    P, Q = outputs
    for r in range(count):
        n, i, j = (start + r) // (P * Q), (start + r) // Q % P, (start + r) % Q
        first = (j * stride - left) * channels
        begin = min(max(0, -first), LC)  # of the window's row, what lies inside of x
        end = max(begin, min(LC, WC - first))
        for k in range(K):
            h = i * stride + k - top
            row = windows[r, k]
            if h < 0 or h >= H or begin == end:
                row[:] = 0
                continue
            inside, source = row[begin:end], x[n, h, first + begin : first + end]
            for c in range(inside.size):
                inside[c] = source[c]
            for c in range(begin):
                row[c] = 0
            for c in range(end, LC):
                row[c] = 0


@compiled
def _unpack(windows, dx, channels, start, outputs, stride, top, left):
    """The transpose of _pack: add the windows to where they came from, in place on dx."""
    _, H, WC = dx.shape
    count, K, LC = windows.shape
    P, Q = outputs
    for r in range(count):
        n, i, j = (start + r) // (P * Q), (start + r) // Q % P, (start + r) % Q
        first = (j * stride - left) * channels
        begin = min(max(0, -first), LC)
        end = max(begin, min(LC, WC - first))
        for k in range(K):
            h = i * stride + k - top
            if 0 <= h < H and begin < end:
                inside, target = windows[r, k, begin:end], dx[n, h, first + begin : first + end]
                for c in range(inside.size):
                    target[c] += inside[c]


def _blocks(pixels: int, numbers: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of blocks of output pixels, each pixel with a window of so many numbers."""
    size = max(1, min(pixels, BLOCK // numbers))
    for start in range(0, pixels, size):
        yield start, min(pixels, start + size)


def _rows(x: np.ndarray) -> np.ndarray:
    """x (N, H, W, C) as (N, H, W C): every row of pixels one run."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], -1)


def _matrix(x: np.ndarray) -> np.ndarray:
    """x (..., C) as (pixels, C)."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    stride: int,
    pad: tuple[int, int, int, int],
) -> np.ndarray:
    (N, H, W, C), (K, L, _, O), (top, bottom, left, right) = x.shape, w.shape, pad
    P, Q = (top + H + bottom - K) // stride + 1, (left + W + right - L) // stride + 1
    if mirror.pays(C, O, stride, pad, (K, L)):
        y = conv2d_grad_x(x, mirror.window_of(w), (P, Q), 1, mirror.pad_of(pad, (K, L)))
        return y if b is None else y + b
    y, rows, flat_w = np.empty((N, P, Q, O), x.dtype), _rows(x), w.reshape(-1, O)
    flat_y = y.reshape(-1, O)
    windows = _space(N * P * Q, (K, L * C), x.dtype)
    for start, stop in _blocks(N * P * Q, K * L * C):
        block = windows[: stop - start]
        _pack(rows, C, block, start, (P, Q), stride, top, left)
        np.matmul(block.reshape(stop - start, -1), flat_w, out=flat_y[start:stop])
        if b is not None:
            flat_y[start:stop] += b
    return y


def conv2d_grad_x(
    g: np.ndarray,
    w: np.ndarray,
    size: tuple[int, int],
    stride: int,
    pad: tuple[int, int, int, int],
) -> np.ndarray:
    (N, P, Q, O), (K, L, C, _), (top, _, left, _) = g.shape, w.shape, pad
    if mirror.pays(C, O, stride, pad, (K, L)):
        return conv2d(g, mirror.window_of(w), None, 1, mirror.pad_of(pad, (K, L)))
    dx, flat_g, flat_w = np.zeros((N, *size, C), g.dtype), _matrix(g), w.reshape(-1, O)
    windows = _space(N * P * Q, (K, L * C), g.dtype)
    for start, stop in _blocks(N * P * Q, K * L * C):
        block = windows[: stop - start]
        np.matmul(flat_g[start:stop], flat_w.T, out=block.reshape(stop - start, -1))
        _unpack(block, _rows(dx), C, start, (P, Q), stride, top, left)
    return dx


def conv2d_grad_w(
    x: np.ndarray,
    g: np.ndarray,
    window: tuple[int, int],
    stride: int,
    pad: tuple[int, int, int, int],
) -> np.ndarray:
    (N, P, Q, O), (K, L), C, (top, _, left, _) = g.shape, window, x.shape[3], pad
    if len(x) != N:  # a loop would run past the shorter's end
        raise ValueError(f"conv2d_grad_w: x has {len(x)} pictures, g has {N}")
    if mirror.pays(C, O, stride, pad, window):
        return mirror.window_of(conv2d_grad_w(g, x, window, 1, mirror.pad_of(pad, window)))
    dw, rows, flat_g = np.zeros((K * L * C, O), x.dtype), _rows(x), _matrix(g)
    windows = _space(N * P * Q, (K, L * C), x.dtype)
    for start, stop in _blocks(N * P * Q, K * L * C):
        block = windows[: stop - start]
        _pack(rows, C, block, start, (P, Q), stride, top, left)
        dw += block.reshape(stop - start, -1).T @ flat_g[start:stop]
    return dw.reshape(K, L, C, O)


def _space(pixels: int, window: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Room for the windows of the largest block."""
    size = max(stop - start for start, stop in _blocks(pixels, window[0] * window[1]))
    return np.empty((size, *window), dtype)
