"""Convolution of a doubled picture: transforms of differences around nine matrix products.

The algebra is in `minidl.kernels.doubling`. All transforms run along rows of pixels, in blocks of
rows that fit the cache: V are the nine transforms of x, U those of the window, P = V U the nine
products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np

from . import threads
from .compiling import compiled
from .memory import empty
from .threads import GRAIN, WORTH

R = TypeVar("R")

BLOCK = 1 << 20  # numbers in a block's V and P together: 4 MB in float32


@compiled
def _plus(a, b, out):
    for i in range(out.size):
        out[i] = a[i] + b[i]


@compiled
def _minus(a, b, out):
    for i in range(out.size):
        out[i] = a[i] - b[i]


@compiled
def _add(a, out):
    for i in range(out.size):
        out[i] += a[i]


@compiled
def _subtract(a, out):
    for i in range(out.size):
        out[i] -= a[i]


@compiled
def _transform(x, height, C, first, V):
    """V (9, rows, W C) of the rows first, first + 1, ... of x (N H, W C).

    Each is (x[i], d[i], d[i+1]) along the rows, then the same along the columns.
    """
    WC = x.shape[1]
    along = np.zeros((3, WC + 2 * C), x.dtype)  # one row, with a pixel of zeros at either end
    for r in range(V.shape[1]):
        i, here = (first + r) % height, x[first + r]
        for c in range(WC):
            along[0, C + c] = along[1, C + c] = here[c]
            along[2, C + c] = -here[c]
        if i > 0:
            _subtract(x[first + r - 1], along[1, C : C + WC])
        if i < height - 1:
            _add(x[first + r + 1], along[2, C : C + WC])
        for a in range(3):
            middle, before, after = along[a, C : C + WC], along[a, :WC], along[a, 2 * C :]
            out = V[3 * a, r]
            for c in range(WC):
                out[c] = middle[c]
            _minus(middle, before, V[3 * a + 1, r])
            _minus(after, middle, V[3 * a + 2, r])


@compiled
def _transform_back(V, height, C, first, dx):
    """The transpose of _transform: add the gradients of V to those of x, in place on dx."""
    WC = dx.shape[1]
    along = np.empty((3, WC + 2 * C), dx.dtype)
    for r in range(V.shape[1]):
        i = (first + r) % height
        along[:] = 0
        for a in range(3):
            middle, before, after = along[a, C : C + WC], along[a, :WC], along[a, 2 * C :]
            _add(V[3 * a, r], middle)
            _add(V[3 * a + 1, r], middle)
            _subtract(V[3 * a + 1, r], before)
            _add(V[3 * a + 2, r], after)
            _subtract(V[3 * a + 2, r], middle)
        _add(along[0, C : C + WC], dx[first + r])
        _add(along[1, C : C + WC], dx[first + r])
        _subtract(along[2, C : C + WC], dx[first + r])
        if i > 0:
            _subtract(along[1, C : C + WC], dx[first + r - 1])
        if i < height - 1:
            _add(along[2, C : C + WC], dx[first + r + 1])


@compiled
def _combine(P, b, first, y):
    """The two rows of y (N 2H, W, 2, O) for each row of P (9, rows, W, O): four sums of four."""
    _, rows, W, O = P.shape
    for r in range(rows):
        for below in range(2):
            up = 3 * (1 + below)
            for j in range(W):
                p00, p01, p02 = P[0, r, j], P[1, r, j], P[2, r, j]
                p10, p11, p12 = P[up, r, j], P[up + 1, r, j], P[up + 2, r, j]
                even, odd = y[2 * (first + r) + below, j, 0], y[2 * (first + r) + below, j, 1]
                for o in range(O):
                    shared = p00[o] + p10[o] + b[o]
                    even[o] = shared + p01[o] + p11[o]
                    odd[o] = shared + p02[o] + p12[o]


@compiled
def _combine_back(g, first, P):
    """The transpose of _combine: the gradients of P (9, rows, W, O) from g (N 2H, W, 2, O)."""
    _, rows, W, _ = P.shape
    for r in range(rows):
        top, bottom = g[2 * (first + r)], g[2 * (first + r) + 1]
        for j in range(W):
            _plus(top[j, 0], top[j, 1], P[3, r, j])
            _plus(bottom[j, 0], bottom[j, 1], P[6, r, j])
            _plus(P[3, r, j], P[6, r, j], P[0, r, j])
            _plus(top[j, 0], bottom[j, 0], P[1, r, j])
            _plus(top[j, 1], bottom[j, 1], P[2, r, j])
            p4, p5, p7, p8 = P[4, r, j], P[5, r, j], P[7, r, j], P[8, r, j]
            for o in range(p4.size):
                p4[o] = top[j, 0, o]
                p5[o] = top[j, 1, o]
                p7[o] = bottom[j, 0, o]
                p8[o] = bottom[j, 1, o]


@compiled
def _factors(w, U, first, last):
    """doubling.of_window for the inputs first to last - 1, in one pass: U (9, C, O) of w."""
    for c in range(first, last):
        for o in range(w.shape[3]):
            w00, w01, w02 = w[0, 0, c, o], w[0, 1, c, o], w[0, 2, c, o]
            w10, w11, w12 = w[1, 0, c, o], w[1, 1, c, o], w[1, 2, c, o]
            w20, w21, w22 = w[2, 0, c, o], w[2, 1, c, o], w[2, 2, c, o]
            s0, s1, s2 = w00 + w10 + w20, w01 + w11 + w21, w02 + w12 + w22
            U[0, c, o], U[1, c, o], U[2, c, o] = s0 + s1 + s2, -s0, s2
            U[3, c, o], U[4, c, o], U[5, c, o] = -(w00 + w01 + w02), w00, -w02
            U[6, c, o], U[7, c, o], U[8, c, o] = w20 + w21 + w22, -w20, w22


@compiled
def _factors_back(U, w, first, last):
    """doubling.to_window in one pass, likewise."""
    for c in range(first, last):
        for o in range(w.shape[3]):
            u0, u1, u2 = U[0, c, o], U[1, c, o], U[2, c, o]
            u3, u4, u5 = U[3, c, o], U[4, c, o], U[5, c, o]
            u6, u7, u8 = U[6, c, o], U[7, c, o], U[8, c, o]
            w[0, 0, c, o], w[0, 1, c, o] = u0 - u1 - u3 + u4, u0 - u3
            w[0, 2, c, o], w[1, 0, c, o] = u0 + u2 - u3 - u5, u0 - u1
            w[1, 1, c, o], w[1, 2, c, o] = u0, u0 + u2
            w[2, 0, c, o], w[2, 1, c, o] = u0 - u1 + u6 - u7, u0 + u6
            w[2, 2, c, o] = u0 + u2 + u6 + u8


def _of_window(w: np.ndarray) -> np.ndarray:
    C, O = w.shape[2:]
    w, U = np.ascontiguousarray(w), empty((9, C, O), w.dtype)
    threads.split(partial(_factors, w, U), C, grain=-(-GRAIN // (9 * O)))
    return U


def _to_window(U: np.ndarray) -> np.ndarray:
    _, C, O = U.shape
    w = empty((3, 3, C, O), U.dtype)
    threads.split(partial(_factors_back, U, w), C, grain=-(-GRAIN // (9 * O)))
    return w


def _rows(x: np.ndarray) -> np.ndarray:
    """x (N, H, W, C) as (N H, W C)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], -1)


def _blocks(
    first: int, last: int, shape: tuple[int, int, int], dtype: np.dtype
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Blocks of rows of pixels: (first row, V (9, rows, W C), P (9, rows, W, O)), for shape (W, C,
    O). V and P are room that the next block uses again."""
    W, C, O = shape
    size = max(1, min(last - first, BLOCK // (9 * W * (C + O))))
    V, P = empty((9 * size * W * C,), dtype), empty((9 * size * W * O,), dtype)
    for start in range(first, last, size):
        rows = min(size, last - start)
        v, p = V[: 9 * rows * W * C], P[: 9 * rows * W * O]
        yield start, v.reshape(9, rows, W * C), p.reshape(9, rows, W, O)


def _split(part: Callable[[int, int], R], count: int, products: int) -> list[R]:
    """Over threads, each unit of `count` being nine times so many multiplications."""
    with threads.blas_alone():
        return threads.split(part, count, grain=-(-WORTH // (9 * products)))


def upsample_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    (N, H, W, C), O = x.shape, w.shape[3]
    if b.shape != (O,):  # a loop would run past its end
        raise ValueError(f"upsample_conv2d: w gives {O} channels, b is {b.shape}")
    rows, U = _rows(x), _of_window(w)
    y = empty((N, 2 * H, 2 * W, O), x.dtype)
    out = y.reshape(-1, W, 2, O)

    def part(first: int, last: int) -> None:
        for start, V, P in _blocks(first, last, (W, C, O), x.dtype):
            _transform(rows, H, C, start, V)
            np.matmul(V.reshape(9, -1, C), U, out=P.reshape(9, -1, O))
            _combine(P, b, start, out)

    _split(part, N * H, W * C * O)
    return y


def upsample_conv2d_grad_x(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    N, H, W = g.shape[0], g.shape[1] // 2, g.shape[2] // 2
    C, O = w.shape[2:]
    back, g = _of_window(w).transpose(0, 2, 1), np.ascontiguousarray(g)
    dx = empty((N, H, W, C), g.dtype)
    pairs, rows = g.reshape(-1, W, 2, O), dx.reshape(N * H, -1)

    def part(first: int, last: int) -> None:  # of the pictures: rows reach into their neighbours
        rows[first * H : last * H] = 0
        for start, V, P in _blocks(first * H, last * H, (W, C, O), g.dtype):
            _combine_back(pairs, start, P)
            np.matmul(P.reshape(9, -1, O), back, out=V.reshape(9, -1, C))
            _transform_back(V, H, C, start, rows)

    _split(part, N, H * W * C * O)
    return dx


def upsample_conv2d_grad_w(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    (N, H, W, C), O = x.shape, g.shape[3]
    if g.shape != (N, 2 * H, 2 * W, O):
        raise ValueError(f"upsample_conv2d_grad_w: x is {x.shape}, which does not give {g.shape}")
    rows, pairs = _rows(x), np.ascontiguousarray(g).reshape(-1, W, 2, O)

    def part(first: int, last: int) -> np.ndarray:
        dU, product = empty((9, C, O), x.dtype), empty((9, C, O), x.dtype)
        for start, V, P in _blocks(first, last, (W, C, O), x.dtype):
            _transform(rows, H, C, start, V)
            _combine_back(pairs, start, P)
            columns = V.reshape(9, -1, C).transpose(0, 2, 1)
            if start == first:
                np.matmul(columns, P.reshape(9, -1, O), out=dU)
            else:
                dU += np.matmul(columns, P.reshape(9, -1, O), out=product)
        return dU

    total, *more = _split(part, N * H, W * C * O)
    for dU in more:
        total += dU
    return _to_window(total)
