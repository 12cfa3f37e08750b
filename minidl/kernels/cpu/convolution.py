"""The convolution kernels, and the choice of an algorithm for each.

conv2d          the windows of x times w
conv2d_grad_x   at stride s, the input pixel (s u + i, s v + j) meets every s-th tap of w only. So
                for each (i, j), a convolution of g with these taps, flipped, gives one pixel of
                each s x s
conv2d_grad_w   the windows of x, as columns, times the pixels of g

The direct algorithm (`conv/direct.py`: indirect GEMM, without im2col) computes any of them. At
stride 2 with many channels Winograd's needs a third fewer products (`conv/winograd_stride2.py`).
With few input (or output) channels the gradient of x (or y itself) is one matrix product, whose
patches are added up (`direct.scatter_patches`: GEMM and col2im). A window that covers the picture
is a plain matrix product.
"""

from __future__ import annotations

import numpy as np

from .. import checks
from ..checks import Padding
from .conv import direct, flipped, winograd_stride2
from .conv.direct_loops import Strides
from .gemm.prepacked import prepacked
from .gemm.register_tile import TILE
from .matrix import matmul
from .runtime import buffer_pool


def _few(channels: int, x: np.ndarray) -> bool:
    """Return whether the channels fill at most half of a panel."""
    return TILE.NR(x.dtype) >= 2 * channels


def _one_window(x: np.ndarray, kernel_size: tuple[int, int], padding: Padding) -> bool:
    """Return whether there is a single window, the whole picture."""
    return x.shape[1:3] == kernel_size and not any(padding)


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: int, padding: Padding
) -> np.ndarray:
    """See `reference.conv2d`."""
    (N, H, W, C), (K, L, _, O), (top, _, left, _) = x.shape, w.shape, padding
    if w.shape[2] != C or (b is not None and b.shape != (O,)):  # compiled code checks no bounds
        raise ValueError(f"conv2d: x is {x.shape}, w {w.shape}, b {b if b is None else b.shape}")
    checks.one_type("conv2d", x, w, *([] if b is None else [b]))
    P, Q = checks.output_size((H, W), (K, L), stride, padding)
    if min(P, Q) < 0:
        raise ValueError(f"conv2d: the filter {K}x{L} is larger than the padded pictures")
    if not (x.size and w.size and P and Q):
        y = np.zeros((N, P, Q, O), x.dtype)
    elif _one_window(x, (K, L), padding):
        y = matmul(np.ascontiguousarray(x).reshape(N, -1), w.reshape(-1, O)).reshape(N, 1, 1, O)
    elif winograd_stride2.worth_it((K, L), stride, N, (P, Q), (C, O)):
        return winograd_stride2.forward(x, w, b, (P, Q), padding)
    elif _few(O, x) and flipped.worth_it(C, O, stride, padding, (K, L)):
        top, _, left, _ = flipped.flipped_padding(padding, (K, L))
        y = direct.scatter_patches(x, flipped.flipped_filter(w), (P, Q), 1, (-top, -left))
    else:
        panels = prepacked(w, "conv2d", lambda w: direct.pack(w, range(K), range(L)))
        bias = np.zeros(O, x.dtype) if b is None else b.copy()
        y, strides = buffer_pool.empty((N, P, Q, O), x.dtype), Strides(0, P * Q * O, Q * O, O)
        direct.convolve(np.ascontiguousarray(x), panels, bias, y, kernel_size=(K, L), stride=stride,
                        corner=(-top, -left), outputs=(P, Q), strides=strides)  # fmt: skip
        return y
    if b is not None:
        y += b
    return y


def conv2d_grad_x(
    g: np.ndarray, w: np.ndarray, size: tuple[int, int], stride: int, padding: Padding
) -> np.ndarray:
    """See `reference.conv2d_grad_x`."""
    (N, P, Q, O), (K, L, C, _), (top, _, left, _), (H, W) = g.shape, w.shape, padding, size
    if w.shape[3] != O or checks.output_size((H, W), (K, L), stride, padding) != (P, Q):
        raise ValueError(f"conv2d_grad_x: g is {g.shape}, w {w.shape}, for pictures {size}")
    checks.one_type("conv2d_grad_x", g, w)
    if not (g.size and w.size and H and W):
        return np.zeros((N, H, W, C), g.dtype)
    if (P, Q) == (1, 1) and not any(padding) and size == (K, L):
        return matmul(g.reshape(N, O), w.reshape(-1, O).T).reshape(N, H, W, C)
    if _few(C, g):
        return direct.scatter_patches(g, w, size, stride, (-top, -left))
    if winograd_stride2.worth_it((K, L), stride, N, (P, Q), (C, O)) and size == (2 * P, 2 * Q):
        return winograd_stride2.grad_x(g, w, padding)
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)
    dx, no_bias = buffer_pool.empty((N, H, W, C), g.dtype), np.zeros(C, g.dtype)
    for i in range(min(stride, H)):
        for j in range(min(stride, W)):
            down = range((i + top) % stride, K, stride)[::-1]
            across = range((j + left) % stride, L, stride)[::-1]
            taps = len(down), len(across)
            if 0 in taps:
                dx[:, i::stride, j::stride] = 0
                continue
            corner = (i + top) // stride - taps[0] + 1, (j + left) // stride - taps[1] + 1
            outputs = len(range(i, H, stride)), len(range(j, W, stride))
            strides = Strides((i * W + j) * C, H * W * C, stride * W * C, stride * C)
            direct.convolve(g, direct.pack(w, down, across, transposed=True), no_bias, dx,
                            kernel_size=taps, stride=1, corner=corner, outputs=outputs,
                            strides=strides)  # fmt: skip
    return dx


def conv2d_grad_w(
    x: np.ndarray, g: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: Padding
) -> np.ndarray:
    """See `reference.conv2d_grad_w`."""
    (N, P, Q, O), (K, L), C = g.shape, kernel_size, x.shape[3]
    if len(x) != N or checks.output_size(x.shape[1:3], kernel_size, stride, padding) != (P, Q):
        raise ValueError(f"conv2d_grad_w: x is {x.shape}, g {g.shape}, for windows {kernel_size}")
    checks.one_type("conv2d_grad_w", x, g)
    if not (x.size and g.size and K and L):
        return np.zeros((K, L, C, O), x.dtype)
    if _one_window(x, kernel_size, padding):
        flat = np.ascontiguousarray(x).reshape(N, -1)
        return matmul(flat.T, np.ascontiguousarray(g).reshape(N, O)).reshape(K, L, C, O)
    if winograd_stride2.worth_it(kernel_size, stride, N, (P, Q), (C, O)):
        return winograd_stride2.grad_w(x, g, kernel_size, padding)
    if _few(O, x) and flipped.worth_it(C, O, stride, padding, kernel_size):
        other = flipped.flipped_padding(padding, kernel_size)
        return flipped.flipped_filter(conv2d_grad_w(g, x, kernel_size, 1, other))
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    return direct.grad_w(x, g, kernel_size, stride, (-padding[0], -padding[2]))
