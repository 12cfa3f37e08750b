"""Strassen's product around the micro-kernel: see ../strassen.py for the algebra and the names.

The four sums of a are made once. Of b, panels as for any product: two of them, one from each half
of b's columns, hold its four quarters, and their sums are made when that pair's turn has come, in
room that stays in the nearer cache, as do the products that several quarters of the result share.
What comes after a sum of the result is added to it by the micro-kernel, which can start from other
numbers than zeros: of the seven additions two passes are left, over a panel's columns.

(500 x 1280) times (1280 x 1280) float32 take 14.7 ms instead of 15.5, (4000 x 1280) times that 112
instead of 120 (AMD Zen 4, one thread); an eighth would be 13.6, and sums take the rest. The error's
root mean square is 1.4e-6 of the result's, instead of 6.4e-7 (normal numbers; BLAS: 3.7e-7).
"""

from __future__ import annotations

import numpy as np

from .board import parallel
from .compiling import inner
from .microkernel import ROWS
from .panels import add_product, of_tile, whole
from .pieces import offsets, zeros


@parallel
def add_left(a, sums, part):
    """Rows first to last - 1 of s1 ... s4, sums (4, M, K), of a (2 M, 2 K)."""
    M, K = sums.shape[1:]
    for r in range(part.first, part.last):
        a11, a12, a21, a22 = a[r, :K], a[r, K:], a[M + r, :K], a[M + r, K:]
        s1, s2, s3, s4 = sums[0, r], sums[1, r], sums[2, r], sums[3, r]
        for i in range(K):
            s1[i] = a21[i] + a22[i]
            s2[i] = s1[i] - a11[i]
            s3[i] = a11[i] - a21[i]
            s4[i] = a12[i] - s2[i]


@inner
def _add_right(b11, b12, b21, b22, t1, t2, t3, t4):
    """t1 ... t4, all of them panels of a quarter."""
    b11, b12, b21, b22 = b11.reshape(-1), b12.reshape(-1), b21.reshape(-1), b22.reshape(-1)
    t1, t2, t3, t4 = t1.reshape(-1), t2.reshape(-1), t3.reshape(-1), t4.reshape(-1)
    for i in range(t1.size):
        t1[i] = b12[i] - b11[i]
        t2[i] = b22[i] - t1[i]
        t3[i] = b22[i] - b12[i]
        t4[i] = b21[i] - t2[i]


@inner
def _add(x, z, y, wide):
    """y = x + z, each of them numbers, and where in them each row of `wide` begins."""
    for r in range(y[1].size):
        one, other = x[0][x[1][r] :], z[0][z[1][r] :]
        total = y[0][y[1][r] :]
        for q in range(wide):
            total[q] = one[q] + other[q]


@parallel
def multiply_seven(a, left_sums, panels, tiles, y, right_sums, shared, part):
    """Tiles first to last - 1 of the quarters of y (2 M, 2 N) = a b.

    a (2 M, 2 K); left_sums (4, M, K): `add_left`'s; panels (2 N / wide, 2 K, wide): b; tiles: of a
    panel and a block. Room: right_sums (parts, 4, K, wide), shared (parts, 2, rows of a block times
    wide).
    """
    (_, M, K), N, half, wide = left_sums.shape, y.shape[1] // 2, len(panels) // 2, panels.shape[2]
    t1, t2, t3, t4 = (right_sums[part.which, 0], right_sums[part.which, 1],
                      right_sums[part.which, 2], right_sums[part.which, 3])  # fmt: skip
    nothing, of_nothing = zeros(wide, a.dtype), zeros(tiles * ROWS, np.int64)
    flat, out, sums, tile = a.reshape(-1), y.reshape(-1), left_sums.reshape(4, -1), part.first
    while tile < part.last:
        p, r, count, tile = of_tile(tile, part.last, half, tiles, M)
        length, q = whole(count), p * wide
        if not count:
            continue
        b11, b12 = panels[p, :K], panels[half + p, :K]
        b21, b22 = panels[p, K:], panels[half + p, K:]
        _add_right(b11, b12, b21, b22, t1, t2, t3, t4)

        of_a, of_s = offsets(count, length, 2 * K), offsets(count, length, K)
        a11, a12 = (flat[2 * r * K :], of_a, 1), (flat[(2 * r + 1) * K :], of_a, 1)
        a22 = flat[(2 * (M + r) + 1) * K :], of_a, 1
        s1, s2 = (sums[0, r * K :], of_s, 1), (sums[1, r * K :], of_s, 1)
        s3, s4 = (sums[2, r * K :], of_s, 1), (sums[3, r * K :], of_s, 1)
        of_y, of_room = offsets(count, length, 2 * N), offsets(count, length, wide)
        y11, y12 = (out[2 * r * N + q :], of_y), (out[(2 * r + 1) * N + q :], of_y)
        y21 = out[2 * (M + r) * N + q :], of_y
        y22 = out[(2 * (M + r) + 1) * N + q :], of_y
        zero = nothing, of_nothing[:length]
        u, p3 = (shared[part.which, 0], of_room), (shared[part.which, 1], of_room)

        add_product(zero, a11, b11, wide, u)  # p1
        add_product(u, a12, b21, wide, y11)  # p1 + p2
        add_product(u, s2, t2, wide, u)  # p1 + p4
        add_product(zero, s1, t1, wide, p3)
        _add(u, p3, y12, wide)
        add_product(y12, s4, b22, wide, y12)  # u + p3 + p6
        v = u
        add_product(u, s3, t3, wide, v)  # u + p5
        add_product(v, a22, t4, wide, y21)  # v + p7
        _add(v, p3, y22, wide)
