"""The loops of convolutions of doubled pictures: transforms, and products of them, unit by unit.

A unit of work is some rows of pixels, whose transforms stay in a core's cache. A job is a panel of
a unit. The algebra is in `upsampling.py`.
"""

from __future__ import annotations

import numpy as np

from .board import parallel
from .compiling import inner
from .microkernel import ROWS, products
from .pieces import clear, of_job, offsets, zeros
from .tiles import TILE

VECTOR = TILE.vector

# The three of an axis: first + sign second, given by (first, second, sign) with first and second
# counted from stride x the pixel. At stride 2, there are an even and an odd pixel of g.
OF_X = np.array([(0, 0, 0), (0, -1, -1), (1, 0, -1)])  # x[i], x[i] - x[i-1], x[i+1] - x[i]
OF_G = np.array([(0, 1, 1), (0, 2, -1), (-1, 1, -1)])  # OF_X's transpose, times its sums


@inner
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


@inner
def _transformed(x, height, three, first, last, channels, room):
    """The transforms (9, pixels, c) of the rows first to last - 1 of pictures of `height` rows, in
    channels = (begin, end + 1) of x (N height stride, W stride, C), side by side in room (9, unit,
    W, c or more): the three along the rows, and of each the three along the columns. Beyond the
    picture all is zero."""
    (_, width, C), W, (begin, end), rows = x.shape, room.shape[2], channels, last - first
    c, stride = end - begin, width // W
    V = room.reshape(-1)[: 9 * rows * W * c].reshape((9, rows, W * c))
    flat, nothing = x.reshape(-1, width * C), zeros(width * C, x.dtype)
    line = zeros(width * c, x.dtype)
    # of a line, each stride-th pixel: one of zeros, those that there are, and one of zeros
    apart = zeros(stride * (W + 2) * c, x.dtype).reshape((stride, (W + 2) * c))
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
                _two(one, two, sign, V[3 * a + b, r])
    return V.reshape((9, rows * W, c))


@inner
def _sums(g, first, last, panels):
    """G of the rows first to last - 1 of x, from g (2 N H, 2 W, O), into panels (panels, rows, W,
    9, wide).

    Of the four pixels copied side by side: loops whose length, and arrays whose distances, are
    known beforehand become vectors, and take a third of the time.
    """
    O, (count, height, W, _, _) = g.shape[2], panels.shape
    wide, flat = 2 * VECTOR // g.itemsize, panels.reshape(-1)
    four = zeros(4 * wide, g.dtype)
    for p in range(count):
        used = min(wide, O - p * wide)
        clear(four)
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


# --- products of them ----------------------------------------------------------------------------


@inner
def _filled(count, step):
    """Offsets 0, step, ... of `count` rows, filled up to whole tiles."""
    return offsets(count, (count + ROWS - 1) // ROWS * ROWS, step)


@inner
def _products_forward(V, panels, some, bias, sums, y):
    """y (rows, 2, W, 2, O): the nine products of V (9, rows W, C), each in four, two or one of the
    four pixels; of each pixel, the columns in `some` of the panels (9, panels, C, wide).

    bias: as wide as all panels. sums (4, rows W, as wide): room for what pixels share, which is
    V6 U6 + V0 U0 + bias, V3 U3 + V0 U0 + bias, V1 U1 and V2 U2.
    """
    (_, pixels, C), (_, _, W, _, O), width = V.shape, y.shape, sums.shape[2]
    a, s, flat = V.reshape(9, -1), sums.reshape(4, -1), y.reshape(-1)
    rows, out, none = _filled(pixels, C), _filled(pixels, width), _filled(pixels, 0)
    top = _filled(pixels, 2 * O)
    for r in range(len(top)):
        top[r] += rows[r] // C // W * 2 * W * O  # every second row of y
    tap, zero = offsets(1, 1, 0), zeros(width, V.dtype)
    for q, to, start, start_rows in ((0, 0, bias, none), (3, 1, s[0], out), (6, 0, s[0], out),
                                     (1, 2, zero, none), (2, 3, zero, none)):  # fmt: skip
        products(a[q], rows, tap, C, 1, panels[q], some, width, s[to], out, (start,),
                  (start_rows,))  # fmt: skip
    for below in range(2):
        for odd in range(2):
            q, at = 4 + 3 * below + odd, (2 * W * below + odd) * O
            products(a[q], rows, tap, C, 1, panels[q], some, O, flat[at:], top,
                      (s[1 - below], s[2 + odd]), (out, out))  # fmt: skip


@inner
def _products_grad_x(Z, panels, some, dx):
    """dx (pixels, C), in the columns of some of the panels (panels, 9 O, wide): all nine of Z."""
    (pixels, C), O = dx.shape, Z.shape[2]
    zero, none = zeros(panels.shape[0] * panels.shape[2], Z.dtype), _filled(pixels, 0)
    products(Z.reshape(-1), _filled(pixels, O), offsets(9, 9, pixels * O), O, 1, panels, some,
              C, dx.reshape(-1), _filled(pixels, C), (zero,), (none,))  # fmt: skip


@inner
def _products_grad_w(V, G, dU, first, add):
    """dU[q, first + c] = or += V[q, :, c] G[q]: (9, C, O), (9, pixels, channels), (panels, pixels,
    9, wide)."""
    (_, pixels, channels), width = V.shape, dU.shape[2]
    rows, out, none = _filled(channels, 1), _filled(channels, width), _filled(channels, 0)
    tap, zero = offsets(1, 1, 0), zeros(width, V.dtype)
    for q in range(9):
        c = dU[q, first:].reshape(-1)
        start, start_rows = (c, out) if add else (zero, none)
        products(V[q].reshape(-1), rows, tap, pixels, channels, G[:, :, q], (0, G.shape[0]), width,
                  c, out, (start,), (start_rows,))  # fmt: skip


# --- unit by unit ---------------------------------------------------------------------------------


@parallel
def forward(x, height, panels, bias, rooms, sums, y, part):
    """y (rows, 2, W, 2, O) of x (rows, W, C), these jobs of it. For each part, rooms (parts, 9,
    unit, W, C) and sums (parts, 4, unit W, columns of all panels)."""
    room, unit, job = rooms[part.which], rooms.shape[2], part.first
    while job < part.last:
        u, some = of_job(job, part.last, panels.shape[1])
        begin, end = u * unit, min(len(x), (u + 1) * unit)
        V = _transformed(x, height, OF_X, begin, end, (0, x.shape[2]), room)
        _products_forward(V, panels, some, bias, sums[part.which], y[begin:end])
        job += some[1] - some[0]


@parallel
def grad_x(g, height, panels, rooms, dx, part):
    """dx (rows, W, C) of g (2 rows, 2 W, O), these jobs of it; rooms (parts, 9, unit, W, O)."""
    room, unit, job = rooms[part.which], rooms.shape[2], part.first
    while job < part.last:
        u, some = of_job(job, part.last, panels.shape[0])
        begin, end = u * unit, min(len(dx), (u + 1) * unit)
        Z = _transformed(g, height, OF_G, begin, end, (0, g.shape[2]), room)
        _products_grad_x(Z, panels, some, dx[begin:end].reshape((Z.shape[1], dx.shape[2])))
        job += some[1] - some[0]


@parallel
def grad_u(x, g, height, rooms, sums, of_parts, by_units, part):
    """The gradient dU (9, C, O) of x (rows, W, C) and g (2 rows, 2 W, O), of_parts (parts or 1, 9,
    C, O): by units, each part sets its own to what its units give; else it sets its tiles of
    channels of the first to what all give. For each part, rooms (parts, 9, unit, W, channels) and
    sums (parts, panels, unit, W, 9, wide)."""
    room, G, dU = rooms[part.which], sums[part.which], of_parts[0]
    (_, unit, W, _), wide = room.shape, G.shape[4]
    channels, units = (0, x.shape[2]), (part.first, part.last)
    if by_units:
        dU = of_parts[part.which]
    else:
        channels = part.first * ROWS, min(x.shape[2], part.last * ROWS)
        units = 0, (len(x) + unit - 1) // unit
    for u in range(units[0], units[1]):
        begin, end = u * unit, min(len(x), (u + 1) * unit)
        V = _transformed(x, height, OF_X, begin, end, channels, room)
        _sums(g, begin, end, G)
        _products_grad_w(V, G.reshape((len(G), unit * W, 9, wide)), dU, channels[0], u > units[0])
