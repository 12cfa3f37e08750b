"""Convolution without copies of windows: which numbers the micro-kernel multiplies, and where.

forward   windows of x, times w
x's       at stride s, an input pixel (s u + i, s v + j) is seen by every s-th tap of w only: for
gradient  each (i, j) a convolution of g with those taps, mirrored, that gives one pixel of s x s
w's       windows of x again, as columns, times the pixels of g
gradient

With few inputs (or outputs), the gradient of x (or y) is one matrix product for all taps, added up
where the taps fall: `scatter`. A window that covers the picture makes a plain matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import mirror
from . import memory, threads
from .compiling import compiled
from .kept import packed
from .matrix import matmul
from .microkernel import TILE, correlate, correlate_grad_w, pack
from .packing import pack_mirrored
from .threads import WORTH

Pad = tuple[int, int, int, int]
PIXELS = 512  # of outputs, that a unit of work has at least, so that a panel is used again
SHARES = 256  # that work is cut into before threads take their parts of it
SMALL = 1 << 17  # numbers of a gradient that each thread may have a copy of
WORTH_PACKING = 1 << 18  # numbers of panels that are worth a thread
ROOM = 1 << 18  # numbers in a unit's padded pictures at most: with a panel they fit the cache


def _outputs(
    size: tuple[int, int], window: tuple[int, int], stride: int, pad: Pad
) -> tuple[int, int]:
    """(P, Q): how many windows there are along either side."""
    (H, W), (K, L), (top, bottom, left, right) = size, window, pad
    return (top + H + bottom - K) // stride + 1, (left + W + right - L) // stride + 1


def _few(channels: int, x: np.ndarray) -> bool:
    """Whether a panel would be half empty."""
    return TILE.columns(x.dtype) >= 2 * channels


def _panels(count: int, columns: int, dtype: np.dtype) -> np.ndarray:
    wide = TILE.columns(dtype)
    return memory.empty((-(-columns // wide), count, wide), dtype)


class _Unit:
    """What is worked on at a time: a band of one picture, or several pictures."""

    def __init__(
        self,
        x: np.ndarray,
        outputs: tuple[int, int],
        window: tuple[int, int],
        stride: int,
    ) -> None:
        (N, _, _, C), (P, Q) = x.shape, outputs
        width = (Q - 1) * stride + window[1]

        def numbers(rows: int) -> int:
            return ((rows - 1) * stride + window[0]) * width * C

        self.pictures, self.band, self.dtype = 1, min(P, -(-PIXELS // Q)), x.dtype
        while self.band > 1 and numbers(self.band) > ROOM:
            self.band = -(-self.band // 2)
        if self.band == P:
            self.pictures = max(1, min(PIXELS // (P * Q), ROOM // max(1, numbers(P))))
        self.count = -(-N // self.pictures) * -(-P // self.band)  # how many there are
        self.pixels = self.pictures * self.band * Q
        self.shape = self.pictures, (self.band - 1) * stride + window[0], width, C

    def room(self) -> np.ndarray:
        """For what it sees of the pictures, zeros around them."""
        return memory.empty(self.shape, self.dtype)


class _Correlation(NamedTuple):
    """One call of `microkernel.correlate`."""

    panels: np.ndarray
    window: tuple[int, int]
    stride: int
    corner: tuple[int, int]
    outputs: tuple[int, int]
    place: tuple[int, int, int, int]


def _fill(fills: Sequence[tuple[Callable[..., None], np.ndarray]]) -> None:
    """fill(panels, first, last + 1) for all (fill, panels), split over threads: a share of each."""

    def part(first: int, last: int) -> None:
        for fill, panels in fills:
            fill(panels, len(panels) * first // SHARES, len(panels) * last // SHARES)

    numbers = sum(panels.size for _, panels in fills)
    threads.split(part, SHARES, grain=SHARES * WORTH_PACKING // max(1, numbers))


def _correlate(x: np.ndarray, bias: np.ndarray, y: np.ndarray, all_: list[_Correlation]) -> None:
    """All products, split over threads: a share of each."""
    flat, C, columns = y.reshape(-1), x.shape[3], y.shape[-1]
    pixels = sum(len(x) * math.prod(c.outputs) * math.prod(c.window) for c in all_)

    def multiply(first: int, last: int) -> None:
        for c in all_:
            unit = _Unit(x, c.outputs, c.window, c.stride)
            jobs = unit.count * len(c.panels)
            correlate(
                x, unit.room(), c.panels, bias, c.window, c.stride, c.corner, c.outputs, flat,
                columns, c.place, unit.band, (jobs * first // SHARES, jobs * last // SHARES),
            )  # fmt: skip

    threads.split(multiply, SHARES, grain=SHARES * WORTH // max(1, pixels * C * columns))


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: int, pad: Pad) -> np.ndarray:
    (N, H, W, C), (K, L, _, O), (top, _, left, _) = x.shape, w.shape, pad
    if w.shape[2] != C or (b is not None and b.shape != (O,)):  # addresses know no bounds
        raise ValueError(f"conv2d: x is {x.shape}, w {w.shape}, b {b if b is None else b.shape}")
    P, Q = _outputs((H, W), (K, L), stride, pad)
    if _is_product(x, (K, L), pad):
        y = matmul(np.ascontiguousarray(x).reshape(N, -1), w.reshape(-1, O)).reshape(N, 1, 1, O)
    elif _few(O, x) and mirror.pays(C, O, stride, pad, (K, L)):
        y = _scatter(x, mirror.window_of(w), (P, Q), 1, mirror.pad_of(pad, (K, L)))
    else:

        def panels_of(w: np.ndarray) -> np.ndarray:
            panels = _panels(K * L * C, O, x.dtype)
            _fill([(partial(pack, w.reshape(-1, O)), panels)])
            return panels

        panels = packed(w, "conv2d", panels_of)
        bias = np.zeros(O, x.dtype) if b is None else b.copy()
        y, place = memory.empty((N, P, Q, O), x.dtype), (0, P * Q * O, Q * O, O)
        forward = _Correlation(panels, (K, L), stride, (-top, -left), (P, Q), place)
        _correlate(np.ascontiguousarray(x), bias, y, [forward])
        return y
    if b is not None:
        y += b
    return y


def conv2d_grad_x(
    g: np.ndarray, w: np.ndarray, size: tuple[int, int], stride: int, pad: Pad
) -> np.ndarray:
    (N, P, Q, O), (K, L, C, _), (top, _, left, _), (H, W) = g.shape, w.shape, pad, size
    if w.shape[3] != O or _outputs((H, W), (K, L), stride, pad) != (P, Q):
        raise ValueError(f"conv2d_grad_x: g is {g.shape}, w {w.shape}, for pictures {size}")
    if (P, Q) == (1, 1) and not any(pad) and size == (K, L):
        return matmul(g.reshape(N, O), w.reshape(-1, O).T).reshape(N, H, W, C)
    if _few(C, g):
        return _scatter(g, w, size, stride, pad)
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)
    dx, fills, phases = memory.empty((N, H, W, C), g.dtype), [], []
    for i in range(min(stride, H)):
        for j in range(min(stride, W)):
            first = (i + top) % stride, (j + left) % stride
            taps = len(range(first[0], K, stride)), len(range(first[1], L, stride))
            if 0 in taps:
                dx[:, i::stride, j::stride] = 0
                continue
            panels = _panels(math.prod(taps) * O, C, g.dtype)
            fills.append((partial(pack_mirrored, w, first, stride), panels))
            corner = (i + top) // stride - taps[0] + 1, (j + left) // stride - taps[1] + 1
            outputs = len(range(i, H, stride)), len(range(j, W, stride))
            place = (i * W + j) * C, H * W * C, stride * W * C, stride * C
            phases.append(_Correlation(panels, taps, 1, corner, outputs, place))
    _fill(fills)
    _correlate(g, np.zeros(C, g.dtype), dx, phases)
    return dx


def conv2d_grad_w(
    x: np.ndarray, g: np.ndarray, window: tuple[int, int], stride: int, pad: Pad
) -> np.ndarray:
    (N, P, Q, O), (K, L), C, (top, _, left, _) = g.shape, window, x.shape[3], pad
    if len(x) != N or _outputs(x.shape[1:3], window, stride, pad) != (P, Q):
        raise ValueError(f"conv2d_grad_w: x is {x.shape}, g {g.shape}, for windows {window}")
    if _is_product(x, window, pad):
        flat = np.ascontiguousarray(x).reshape(N, -1)
        return matmul(flat.T, np.ascontiguousarray(g).reshape(N, O)).reshape(K, L, C, O)
    if _few(O, x) and mirror.pays(C, O, stride, pad, window):
        return mirror.window_of(conv2d_grad_w(g, x, window, 1, mirror.pad_of(pad, window)))
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    shape, unit = (K * L * C, O), _Unit(x, (P, Q), window, stride)

    def sum_up(dw: np.ndarray, units: tuple[int, int], rows: tuple[int, int]) -> None:
        dw[rows[0] : rows[1]] = 0
        room, panels = unit.room(), _panels(unit.pixels, O, x.dtype)
        corner = -top, -left
        correlate_grad_w(x, g, room, panels, window, stride, corner, dw, unit.band, units, rows)

    def of_units(first: int, last: int) -> np.ndarray:
        dw = memory.empty(shape, x.dtype)
        sum_up(dw, (first, last), (0, len(dw)))
        return dw

    def of_rows(first: int, last: int) -> None:
        rows = min(first * TILE.rows, len(total)), min(last * TILE.rows, len(total))
        sum_up(total, (0, unit.count), rows)

    if unit.count > 1 and math.prod(shape) <= SMALL:
        work = unit.pixels * math.prod(shape)
        total, *more = threads.split(of_units, unit.count, grain=-(-WORTH // work))
        for dw in more:
            total += dw
    else:
        total, work = memory.empty(shape, x.dtype), N * P * Q * O * TILE.rows
        threads.split(of_rows, -(-len(total) // TILE.rows), grain=-(-WORTH // work))
    return total.reshape(K, L, C, O)


def _is_product(x: np.ndarray, window: tuple[int, int], pad: Pad) -> bool:
    """Whether there is one window, the whole picture."""
    return x.shape[1:3] == window and not any(pad)


# --- few channels ---------------------------------------------------------------------------------


@compiled
def _add_windows(windows, dx, channels, first, outputs, stride, top, left):
    """Add windows (pixels, K, L C), of the output pixels first, first + 1, ... of dx (N, H, W C),
    to where they came from."""
    _, H, WC = dx.shape
    count, K, LC = windows.shape
    P, Q = outputs
    for r in range(count):
        n, i, j = (first + r) // (P * Q), (first + r) // Q % P, (first + r) % Q
        column = (j * stride - left) * channels
        begin = min(max(0, -column), LC)  # of the window's row, what lies inside of dx
        end = max(begin, min(LC, WC - column))
        for k in range(K):
            h = i * stride + k - top
            if 0 <= h < H and begin < end:
                inside, target = windows[r, k, begin:end], dx[n, h, column + begin : column + end]
                for c in range(inside.size):
                    target[c] += inside[c]


def _scatter(
    g: np.ndarray, w: np.ndarray, size: tuple[int, int], stride: int, pad: Pad
) -> np.ndarray:
    """conv2d_grad_x for few channels: what all taps of a pixel send back is one matrix product."""
    (N, P, Q, O), (K, L, C, _), (top, _, left, _) = g.shape, w.shape, pad
    dx = memory.empty((N, size[0], size[1] * C), g.dtype)
    pixels = np.ascontiguousarray(g).reshape(N, P * Q, O)
    back = np.ascontiguousarray(w.reshape(-1, O).T)
    step = max(1, ROOM // (K * L * C))  # pixels at a time

    def part(first: int, last: int) -> None:
        dx[first:last] = 0
        windows = np.empty((min(step, P * Q), K * L * C), g.dtype)
        for n in range(first, last):
            for start in range(0, P * Q, step):
                block = pixels[n, start : start + step]
                product = np.matmul(block, back, out=windows[: len(block)])
                _add_windows(
                    product.reshape(-1, K, L * C), dx[n : n + 1], C, start, (P, Q), stride, top,
                    left,
                )  # fmt: skip

    with threads.blas_alone():
        threads.split(part, N, grain=-(-WORTH // (P * Q * O * K * L * C)))
    return dx.reshape(N, *size, C)
