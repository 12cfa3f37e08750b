"""Convolution of a doubled picture: differences of pixels, and nine matrix products of them.

The algebra is in `minidl.kernels.doubling`; a and b are 0, 1, 2 in q = 3 a + b.

    forward      V[q] = x's differences, along the rows by a, along the columns by b

                 y (even, even) = V0 U0 + V1 U1 + V3 U3 + V4 U4       each product is computed
                 y (even, odd)  = V0 U0 + V2 U2 + V3 U3 + V5 U5       once, and what pixels share
                 y (odd, even)  = V0 U0 + V1 U1 + V6 U6 + V7 U7       is where the next products
                 y (odd, odd)   = V0 U0 + V2 U2 + V6 U6 + V8 U8       start from

    x's gradient the sum over q of Z[q] U[q]', with Z the differences of g: that of pixels may as
                 well be taken before the product of channels, and then the nine add up in registers
    U's gradient V[q]' G[q], with G[q] the sum of those pixels of g to which V[q] U[q] went

Units of work are rows of pixels whose transforms stay in a core's cache. A batch of 8 pictures of
32x32 pixels, 64 channels to 64, takes 6.2, 6.5 and 6.5 ms, where BLAS's products with a pass over
memory for each transform take 9.4, 9.9 and 11.4, and the products alone would take 4.2 each (Intel
Xeon with AVX-512, one thread). Two threads take 3.4, 3.6 and 3.9.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from . import threads
from .compiling import compiled
from .kept import packed
from .memory import empty
from .microkernel import products_forward, products_grad_w, products_grad_x
from .packing import pack_factors, pack_factors_transposed, windows_of_factors
from .threads import GRAIN, WORTH
from .tiles import TILE

PIXELS = 128  # of x, that a unit of work has at least, so that a panel is used again
ROOM = 1 << 17  # numbers in the transforms of a unit, if it has more pixels than that
SMALL = 1 << 17  # numbers of a gradient that each thread may have a copy of
VECTOR = TILE.vector

# The three of an axis: first + sign second, given by (first, second, sign) with first and second
# counted from stride x the pixel. At stride 2, there are an even and an odd pixel of g.
OF_X = np.array([(0, 0, 0), (0, -1, -1), (1, 0, -1)])  # x[i], x[i] - x[i-1], x[i+1] - x[i]
OF_G = np.array([(0, 1, 1), (0, 2, -1), (-1, 1, -1)])  # OF_X's transpose, times its sums


@compiled
def _two(a, b, sign, out):
    if sign == 0:
        for k in range(out.size):
            out[k] = a[k]
    elif sign > 0:
        for k in range(out.size):
            out[k] = a[k] + b[k]
    else:
        for k in range(out.size):
            out[k] = a[k] - b[k]


@compiled
def _transform(x, height, three, stride, first, begin, room):
    """room (9, rows, W, c) of the rows first, first + 1, ... of pictures of `height` rows, from
    the channels begin, begin + 1, ... of x (N height stride, W stride, C): the three along the
    rows, and of each the three along the columns. Beyond the picture all is zero."""
    _, width, C = x.shape
    _, rows, W, c = room.shape
    flat, nothing = x.reshape(-1, width * C), np.zeros(width * C, x.dtype)
    line = np.empty(width * c, x.dtype)
    # of a line, each stride-th pixel: one of zeros, those that there are, and one of zeros
    apart = np.zeros((stride, (W + 2) * c), x.dtype)
    run = c if c < C else width * c  # as much as lies side by side
    for r in range(rows):
        row, i = (first + r) * stride, (first + r) % height * stride
        for a in range(3):
            at, other, sign = three[a]
            inside = 0 <= i + at < height * stride
            one = flat[row + at] if inside else nothing
            inside = 0 <= i + other < height * stride
            two = flat[row + other] if inside else nothing
            to = apart[0, c:] if stride == 1 else line
            for k in range(0, width * c, run):
                source = k // c * C + begin
                _two(one[source : source + run], two[source : source + run], sign, to[k : k + run])
            if stride > 1:
                for s in range(stride):
                    for j in range(W):
                        here = apart[s, (1 + j) * c : (2 + j) * c]
                        there = line[(j * stride + s) * c : (j * stride + s + 1) * c]
                        for k in range(c):
                            here[k] = there[k]
            for b in range(3):
                at, other, sign = three[b]
                one = apart[at % stride, (1 + at // stride) * c :]
                two = apart[other % stride, (1 + other // stride) * c :]
                _two(one, two, sign, room[3 * a + b, r].reshape(-1))


@compiled
def _sums(g, first, last, panels):
    """G of the rows first to last - 1 of x, from g (2 N H, 2 W, O), into panels (panels, rows, W,
    9, wide).

    Of the four pixels copied side by side: loops whose length, and arrays whose distances, are
    known beforehand become vectors, and take a third of the time.
    """
    O, (count, height, W, _, _) = g.shape[2], panels.shape
    wide, flat = 2 * VECTOR // g.itemsize, panels.reshape(-1)
    four = np.empty(4 * wide, g.dtype)
    for p in range(count):
        used = min(wide, O - p * wide)
        four[:] = 0
        for r in range(last - first):
            for j in range(W):
                for s in range(4):
                    pixel = g[2 * (first + r) + s // 2, 2 * j + s % 2, p * wide : p * wide + used]
                    to = four[s * wide : s * wide + used]
                    for k in range(to.size):
                        to[k] = pixel[k]
                begin = ((p * height + r) * W + j) * 9 * wide
                to = flat[begin : begin + 9 * wide]
                for k in range(wide):
                    a, b, c, d = four[k], four[wide + k], four[2 * wide + k], four[3 * wide + k]
                    to[k] = (a + b) + (c + d)
                    to[wide + k] = a + c
                    to[2 * wide + k] = b + d
                    to[3 * wide + k] = a + b
                    to[4 * wide + k] = a
                    to[5 * wide + k] = b
                    to[6 * wide + k] = c + d
                    to[7 * wide + k] = c
                    to[8 * wide + k] = d


def _panels(columns: int, dtype: np.dtype) -> tuple[int, int]:
    """How many panels so many columns take, and the columns of one."""
    wide = TILE.columns(dtype)
    return -(-columns // wide), wide


def _unit(rows: int, width: int, channels: int) -> int:
    """How many rows of pixels a unit of work has."""
    units = -(-rows * width // max(PIXELS, ROOM // (9 * channels)))
    return -(-rows // max(1, units))


def _share(
    rows: int, unit: int, panels: int, first: int, last: int
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Jobs first to last - 1 as (first row, last + 1, panels (first, last + 1)): a job is a panel,
    those of unit 0 come before those of unit 1 and so on."""
    while first < last:
        u, panel = divmod(first, panels)
        some = panel, min(panels, panel + last - first)
        yield u * unit, min(rows, (u + 1) * unit), some
        first += some[1] - some[0]


def upsample_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    (N, H, W, C), O = x.shape, w.shape[3]
    if w.shape != (3, 3, C, O) or b.shape != (O,):  # addresses know no bounds
        raise ValueError(f"upsample_conv2d: x is {x.shape}, w {w.shape}, b {b.shape}")
    rows, pixels = N * H, np.ascontiguousarray(x).reshape(N * H, W, C)
    (count, wide), unit = _panels(O, x.dtype), _unit(rows, W, C)

    def panels_of(w: np.ndarray) -> np.ndarray:
        panels = empty((9, count, C, wide), x.dtype)
        threads.split(partial(pack_factors, w, panels), C, grain=-(-GRAIN // (9 * O)))
        return panels

    panels, bias = packed(w, "upsample_conv2d", panels_of), np.zeros(count * wide, x.dtype)
    bias[:O] = b
    y = empty((N, 2 * H, 2 * W, O), x.dtype)
    out = y.reshape(rows, 2, W, 2, O)

    def part(first: int, last: int) -> None:
        room = empty((9, unit, W, C), x.dtype)
        sums = empty((4, unit * W, count * wide), x.dtype)
        for begin, end, some in _share(rows, unit, count, first, last):
            V = _cut(room, end - begin)
            _transform(pixels, H, OF_X, 1, begin, 0, V)
            products_forward(V.reshape(9, -1, C), panels, some, bias, sums, out[begin:end])

    jobs = -(-rows // unit) * count
    threads.split(part, jobs, grain=-(-WORTH // (9 * unit * W * C * wide)))
    return y


def upsample_conv2d_grad_x(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    N, H, W, (C, O) = g.shape[0], g.shape[1] // 2, g.shape[2] // 2, w.shape[2:]
    if w.shape[:2] != (3, 3) or g.shape != (N, 2 * H, 2 * W, O):
        raise ValueError(f"upsample_conv2d_grad_x: g is {g.shape}, w {w.shape}")
    rows, pixels = N * H, np.ascontiguousarray(g).reshape(2 * N * H, 2 * W, O)
    (count, wide), unit = _panels(C, g.dtype), _unit(rows, W, O)
    panels, dx = empty((count, 9 * O, wide), g.dtype), empty((N, H, W, C), g.dtype)
    fill = partial(pack_factors_transposed, np.ascontiguousarray(w), panels)
    threads.split(fill, count, grain=-(-GRAIN // (9 * O * wide)))
    out = dx.reshape(rows * W, C)

    def part(first: int, last: int) -> None:
        room = empty((9, unit, W, O), g.dtype)
        for begin, end, some in _share(rows, unit, count, first, last):
            Z = _cut(room, end - begin)
            _transform(pixels, H, OF_G, 2, begin, 0, Z)
            products_grad_x(Z.reshape(9, -1, O), panels, some, out[begin * W : end * W])

    jobs = -(-rows // unit) * count
    threads.split(part, jobs, grain=-(-WORTH // (9 * unit * W * O * wide)))
    return dx


def upsample_conv2d_grad_w(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    (N, H, W, C), O = x.shape, g.shape[3]
    if g.shape != (N, 2 * H, 2 * W, O):
        raise ValueError(f"upsample_conv2d_grad_w: x is {x.shape}, which does not give {g.shape}")
    rows, pixels = N * H, np.ascontiguousarray(x).reshape(N * H, W, C)
    pairs, (count, wide) = np.ascontiguousarray(g).reshape(2 * rows, 2 * W, O), _panels(O, x.dtype)
    unit, shape, work = _unit(rows, W, max(C, O)), (9, C, O), 9 * W * C * O
    units, tiles = -(-rows // unit), -(-C // TILE.rows)

    def sum_up(units: tuple[int, int], channels: tuple[int, int], dU: np.ndarray) -> None:
        """What units = (first, last + 1) give dU, in channels = (first, last + 1) of x."""
        c = channels[1] - channels[0]
        room, G = empty((9, unit, W, c), x.dtype), empty((count, unit, W, 9, wide), x.dtype)
        for u in range(*units):
            begin, end = u * unit, min(rows, (u + 1) * unit)
            V = _cut(room, end - begin)
            _transform(pixels, H, OF_X, 1, begin, channels[0], V)
            _sums(pairs, begin, end, G)
            products_grad_w(
                V.reshape(9, -1, c), G.reshape(count, -1, 9, wide), dU, channels[0], u > units[0]
            )

    def of_units(first: int, last: int) -> np.ndarray:
        dU = empty(shape, x.dtype)
        sum_up((first, last), (0, C), dU)
        return dU

    def of_channels(first: int, last: int) -> None:
        sum_up((0, units), (first * TILE.rows, min(C, last * TILE.rows)), total)

    if units > 1 and 9 * C * O <= SMALL:
        total, *more = threads.split(of_units, units, grain=-(-WORTH // (work * unit)))
        for dU in more:
            total += dU
    else:
        total = empty(shape, x.dtype)
        threads.split(of_channels, tiles, grain=-(-WORTH * tiles // (work * rows)))
    dw = empty((3, 3, C, O), x.dtype)
    threads.split(partial(windows_of_factors, total, dw), C, grain=-(-GRAIN // (9 * O)))
    return dw


def _cut(room: np.ndarray, rows: int) -> np.ndarray:
    """As much of room (9, unit, W, C) as (9, rows, W, C) takes, side by side."""
    shape = 9, rows, *room.shape[2:]
    return room.reshape(-1)[: math.prod(shape)].reshape(shape)
