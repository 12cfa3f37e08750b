"""Convolution: a matrix product whose one factor is the windows of pictures (see convolution.cu).

There are three algorithms. If the windows are the pictures' own memory, it is a plain product.
Otherwise our own kernels read the windows in the pictures (implicit GEMM), or the windows are
copied to a matrix, chunk by chunk, for cuBLAS (im2col).
"""

from __future__ import annotations

import math

import numpy as np

from ...device import Array, is_recording, tf32
from .. import checks
from ..checks import Padding
from . import launch
from .gemm import ROWS, add, columns_of, in_parts, matmul, parts_of, product


def _ints(*names: str) -> np.dtype:
    return np.dtype([(name, np.int32) for name in names])


VIEW = _ints("H", "W", "C", "L", "P", "Q", "stride", "top", "left")  # as in convolution.cu
GEOMETRY = _ints("H", "W", "C", "K", "L", "O", "P", "Q", "stride", "top", "left")


def is_product(
    size: tuple[int, int], kernel_size: tuple[int, int], stride: int, padding: Padding
) -> bool:
    """Return whether the windows are the pictures' own memory, without a copy."""
    return not any(padding) and (kernel_size == size or (kernel_size == (1, 1) and stride == 1))


def unrolls(dtype: np.dtype) -> bool:
    """Return whether windows are copied for cuBLAS: for TF32, which our kernels do not use.

    `benchmarks.convolutions` times both algorithms. False while a graph is recorded, see `gemm`.
    """
    return dtype == np.float32 and tf32() and not is_recording()


def _unroll(x: Array, view: np.ndarray, taps: int) -> Array:
    """Copy the windows of x (N, H, W, C) to a matrix (N P Q, taps): im2col."""
    pixels = len(x) * int(view["P"]) * int(view["Q"])
    columns = launch.empty((pixels, taps), x.dtype)
    size = columns.size
    launch.launch("unroll<T>", x.dtype, launch.blocks(size), x, columns, view, size, taps)
    return columns


def conv2d(x: Array, w: Array, b: Array | None, stride: int, padding: Padding) -> Array:
    (N, H, W, C), (K, L, _, O), (top, _, left, _) = x.shape, w.shape, padding
    if w.shape[2] != C or (b is not None and b.shape != (O,)):
        given = None if b is None else b.shape
        raise ValueError(f"conv2d: x is {x.shape}, w {w.shape}, b {given}")
    x, w, *rest = launch.check("conv2d", x, w, *([] if b is None else [b]))
    bias = rest[0] if rest else 0
    P, Q = checks.output_size((H, W), (K, L), stride, padding)
    if min(P, Q) < 0:
        raise ValueError(f"conv2d: the filter {K}x{L} is larger than the padded pictures")
    if not (x.size and w.size and P and Q):
        return np.zeros_like(x, shape=(N, P, Q, O)) + bias
    pixels, taps = N * P * Q, K * L * C
    if is_product((H, W), (K, L), stride, padding):
        y = matmul(x.reshape(pixels, taps), w.reshape(taps, O)).reshape(N, P, Q, O)
        if rest:
            add(y[None], y, bias)
        return y
    view = np.array((H, W, C, L, P, Q, stride, top, left), VIEW)
    if unrolls(x.dtype):
        y = launch.empty((N, P, Q, O), x.dtype)
        for n in launch.chunks(N, P * Q * taps, x.dtype):
            product(_unroll(x[n], view, taps), w.reshape(taps, O), out=y[n].reshape(-1, O))
        if rest:
            add(y[None], y, bias)
        return y
    rows = math.ceil(pixels / ROWS)
    columns = columns_of(O, rows, x.dtype)
    tiles = rows, math.ceil(O / columns)

    def run(y: Array, bias: Array | int, parts: int) -> None:
        launch.launch(
            f"conv2d<T, {columns}>", x.dtype, (*tiles, parts),
            x, w, bias, y, view, pixels, taps, O, parts,
        )  # fmt: skip

    shape = (N, P, Q, O)
    return in_parts(run, shape, x.dtype, tiles=math.prod(tiles), length=taps, bias=bias)


def conv2d_grad_x(
    g: Array, w: Array, size: tuple[int, int], stride: int, padding: Padding
) -> Array:
    (N, P, Q, O), (K, L, C, _), (top, _, left, _), (H, W) = g.shape, w.shape, padding, size
    if w.shape[3] != O or checks.output_size((H, W), (K, L), stride, padding) != (P, Q):
        raise ValueError(f"conv2d_grad_x: g is {g.shape}, w {w.shape}, for pictures {size}")
    g, w = launch.check("conv2d_grad_x", g, w)
    if not (g.size and w.size and H and W):
        return np.zeros_like(g, shape=(N, H, W, C))
    if is_product((H, W), (K, L), stride, padding):
        return matmul(g.reshape(-1, O), w.reshape(-1, O).T).reshape(N, H, W, C)
    geometry = np.array((H, W, C, K, L, O, P, Q, stride, top, left), GEOMETRY)
    if unrolls(g.dtype):
        dx, back = launch.empty((N, H, W, C), g.dtype), w.reshape(-1, O).T
        for n in launch.chunks(N, P * Q * K * L * C, g.dtype):
            windows, part = product(g[n].reshape(-1, O), back), dx[n]
            launch.launch(
                "roll_up<T>", g.dtype, launch.blocks(part.size), windows, part, geometry, part.size
            )
        return dx
    phases = stride * stride
    pixels = N * math.ceil(H / stride) * math.ceil(W / stride)  # of the first phase, the largest
    rows = math.ceil(pixels / ROWS)
    columns = columns_of(C, rows * phases, g.dtype)
    tiles = rows, math.ceil(C / columns)
    taps = math.ceil(K / stride) * math.ceil(L / stride)

    def run(dx: Array, bias: Array | int, parts: int) -> None:
        launch.launch(
            f"conv2d_grad_x<T, {columns}>", g.dtype, (*tiles, phases * parts),
            g, w, dx, geometry, N, parts,
        )  # fmt: skip

    return in_parts(run, (N, H, W, C), g.dtype, tiles=math.prod(tiles) * phases, length=taps * O)


def conv2d_grad_w(
    x: Array, g: Array, kernel_size: tuple[int, int], stride: int, padding: Padding
) -> Array:
    (N, P, Q, O), (K, L), (_, H, W, C), (top, _, left, _) = g.shape, kernel_size, x.shape, padding
    if len(x) != N or checks.output_size((H, W), kernel_size, stride, padding) != (P, Q):
        raise ValueError(f"conv2d_grad_w: x is {x.shape}, g {g.shape}, for filters {kernel_size}")
    x, g = launch.check("conv2d_grad_w", x, g)
    if not (x.size and g.size and K and L):
        return np.zeros_like(x, shape=(K, L, C, O))
    pixels, taps = N * P * Q, K * L * C
    if is_product((H, W), kernel_size, stride, padding):
        return matmul(x.reshape(pixels, taps).T, g.reshape(pixels, O)).reshape(K, L, C, O)
    view = np.array((H, W, C, L, P, Q, stride, top, left), VIEW)
    if unrolls(x.dtype):
        chunks, dw = (
            list(launch.chunks(N, P * Q * taps, x.dtype)),
            launch.empty((K, L, C, O), x.dtype),
        )
        parts = launch.empty((len(chunks), taps, O), x.dtype)
        for part, n in zip(parts, chunks, strict=True):
            product(_unroll(x[n], view, taps).T, g[n].reshape(-1, O), out=part)
        add(parts, dw)
        return dw
    rows = math.ceil(taps / ROWS)
    columns = columns_of(O, rows * parts_of(rows, pixels), x.dtype)
    tiles = rows, math.ceil(O / columns)

    def run(dw: Array, bias: Array | int, parts: int) -> None:
        launch.launch(
            f"conv2d_grad_w<T, {columns}>", x.dtype, (*tiles, parts),
            x, g, dw, view, pixels, taps, O, parts,
        )  # fmt: skip

    return in_parts(run, (K, L, C, O), x.dtype, tiles=math.prod(tiles), length=pixels)
