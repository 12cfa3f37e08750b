"""Strassen's product around the micro-kernel: see ../strassen.py for the algebra and the names.

Some rows of a's quarters are worked on at a time, whose four sums stay in the cache. Of b there are
panels, as for any product: two of them, one from each half of b's columns, hold a panel of each
quarter, and their sums are made when that pair's turn has come, in room that stays in the nearer
cache, as do the products that several quarters of the result share. What comes after a sum of the
result is added to it by the micro-kernel, which can start from other numbers than zeros: of the
seven additions two passes are left, over a panel's columns.

(500 x 1280) times (1280 x 1280) float32 take 14.6 ms instead of 15.4, (4008 x 1280) times that 110
instead of 118 (AMD Zen 4, one thread); of the eighth that is saved, the sums take half. The error's
root mean square is 1.4e-6 of the result's, instead of 6.4e-7 (normal numbers; BLAS: 3.7e-7).
"""

from __future__ import annotations

import numpy as np

from .board import parallel
from .compiling import inner
from .panels import add_product, of_tile
from .pieces import offsets, zeros


@parallel
def add_left(upper, lower, sums, part):
    """Rows first to last - 1 of s1 ... s4, sums (4, M, K), of a's quarters: upper (M, 2 K) has rows
    of a11 and a12, lower those of a21 and a22."""
    K = sums.shape[2]
    for r in range(part.first, part.last):
        a11, a12, a21, a22 = upper[r, :K], upper[r, K:], lower[r, :K], lower[r, K:]
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
def _add(x, z, wide, y):
    """y = x + z, rows of `wide` numbers: all numbers, and where in them rows begin."""
    for r in range(y[1].size):
        one, other, total = x[0][x[1][r] :], z[0][z[1][r] :], y[0][y[1][r] :]
        for q in range(wide):
            total[q] = one[q] + other[q]


@parallel
def multiply_seven(upper, lower, left_sums, panels, bias, y_upper, y_lower, room, part):
    """Tiles first to last - 1 of the quarters of a b + bias: y_upper and y_lower (M, N).

    upper, lower (M, 2 K), left_sums (4, M, K): as in `add_left`; panels (2 half, 2 K, wide): b, its
    N columns and zeros; bias as wide; room (parts, 4 K + three times M in whole tiles, wide).
    """
    (_, M, K), N, half, wide = left_sums.shape, y_upper.shape[1], len(panels) // 2, panels.shape[2]
    mine, s = room[part.which], left_sums.reshape(4, -1)
    t1, t2, t3, t4 = mine[:K], mine[K : 2 * K], mine[2 * K : 3 * K], mine[3 * K : 4 * K]
    shared = mine[4 * K :].reshape(-1)
    upper, lower, y_upper, y_lower = (upper.reshape(-1), lower.reshape(-1), y_upper.reshape(-1),
                                      y_lower.reshape(-1))  # fmt: skip
    tile = part.first
    while tile < part.last:
        p, r, count, length, tile = of_tile(tile, part.last, M)
        b11, b12 = panels[p, :K], panels[half + p, :K]
        b21, b22 = panels[p, K:], panels[half + p, K:]
        _add_right(b11, b12, b21, b22, t1, t2, t3, t4)

        of_a, of_s = offsets(count, length, 2 * K), offsets(count, length, K)
        a11, a12 = (upper[2 * r * K :], of_a, 1), (upper[(2 * r + 1) * K :], of_a, 1)
        a22 = lower[(2 * r + 1) * K :], of_a, 1
        s1, s2 = (s[0, r * K :], of_s, 1), (s[1, r * K :], of_s, 1)
        s3, s4 = (s[2, r * K :], of_s, 1), (s[3, r * K :], of_s, 1)
        left, right = p * wide, (half + p) * wide
        used_left = min(wide, N - left)  # columns of a panel in y: a narrow y fills not even one
        used = max(0, min(wide, N - right))  # the same of the right half's panel
        of_y, of_room = offsets(count, length, N), offsets(count, length, wide)
        y11, y12 = (y_upper[r * N + left :], of_y), (y_upper[r * N + right :], of_y)
        y21, y22 = (y_lower[r * N + left :], of_y), (y_lower[r * N + right :], of_y)
        u, p3 = (shared, of_room), (shared[length * wide :], of_room)
        v, both = u, (shared[2 * length * wide :], of_room)
        of_one_row, change = zeros(length, np.int64), zeros(wide, y_upper.dtype)
        for q in range(wide):  # u and v have the left half's bias in them, and p3 what is missing
            change[q] = bias[right + q] - bias[left + q]

        add_product((bias[left:], of_one_row), a11, b11, wide, u)  # p1
        add_product(u, a12, b21, used_left, y11)  # p1 + p2
        add_product(u, s2, t2, wide, u)  # p1 + p4
        add_product((change, of_one_row), s1, t1, wide, p3)
        _add(u, p3, wide, both)
        add_product(both, s4, b22, used, y12)  # u + p3 + p6
        add_product(u, s3, t3, wide, v)  # u + p5
        add_product(v, a22, t4, used_left, y21)  # v + p7
        _add(v, p3, used, y22)
