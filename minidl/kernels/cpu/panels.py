"""The loops of a matrix product around the micro-kernel: packing b, and a times what was packed.

a is read where it lies, by rows or, if it is a transpose, by columns: the micro-kernel takes a
number at a time from it, and any distance between numbers will do. b becomes panels, a vector pair
wide: all of them at once, because rows of b are read as fast as memory is only to their end (panel
by panel, 1.7 ms for 1280 x 1280 float32 instead of 0.7; AMD Zen 4).

A tile is the micro-kernel's: ROWS rows of a times one panel. They are numbered panel by panel
within a block of rows, and parts of that range are what threads take. With blocks, for each of
which all panels are gone through, (4000 x 1280) times (1280 x 1280) reach 109 GFLOP/s instead of
99: a's rows come from the cache.
"""

from __future__ import annotations

import numpy as np

from .board import parallel
from .compiling import inner
from .microkernel import ROWS, products
from .pieces import clear, offsets, zeros
from .turning import turn


@parallel
def pack_rows(b, panels, part):
    """Rows first to last - 1 of b (K, N), in panels (panels, K, wide), and zeros."""
    wide = panels.shape[2]
    for k in range(part.first, part.last):
        for p in range(len(panels)):
            source, row = b[k, p * wide : (p + 1) * wide], panels[p, k]
            for q in range(source.size):
                row[q] = source[q]
            clear(row[source.size :])


@parallel
def pack_columns(b, panels, part):
    """Likewise the transpose of b (N, K), panels first to last - 1."""
    (N, K), wide = b.shape, panels.shape[2]
    lanes, flat = wide // 2, b.reshape(-1)
    for p in range(part.first, part.last):
        panel = panels[p].reshape(-1)
        for q in range(0, wide, lanes):
            column = p * wide + q
            used = max(0, min(lanes, N - column))
            for k in range(0, K, lanes):
                if used == lanes and k + lanes <= K:
                    turn(flat[column * K + k :], K, panel[k * wide + q :], wide)
                    continue
                for i in range(k, min(K, k + lanes)):  # at the edges
                    row = panels[p, i, q : q + lanes]
                    for j in range(used):
                        row[j] = b[column + j, i]
                    clear(row[used:])


@inner
def of_tile(tile, last, panels, tiles, rows):
    """For a tile and those after it, before the tile `last`, of the same panel and block: the
    panel, the first row, how many of `rows` there are, and the tile after those. Blocks, of `tiles`
    tiles of a panel each, are equally long, so that the last may reach beyond the rows."""
    unit, inside = tile // tiles, tile % tiles
    until = min(tiles, inside + last - tile)
    first = (unit // panels * tiles + inside) * ROWS
    count = max(0, min(rows - first, (until - inside) * ROWS))
    return unit % panels, first, count, tile + until - inside


@inner
def whole(rows):
    """How many rows the tiles of so many have."""
    return (rows + ROWS - 1) // ROWS * ROWS


@inner
def add_product(start, a, panel, used, y):
    """y = start + a panel, `used` columns. a: its numbers, where in them each row begins, and how
    far apart columns lie; start, y: their numbers, and where in them each row begins."""
    one = panel.reshape((1, panel.shape[0], panel.shape[1]))
    products(a[0], a[1], zeros(1, np.int64), panel.shape[0], a[2], one, (0, 1), used,
             y[0], y[1], (start[0],), (start[1],))  # fmt: skip


@parallel
def multiply(a, turned, panels, shape, tiles, y, part):
    """Tiles first to last - 1 of y (M N) = a b, shape: (M, N, K).

    a (M, K), or, turned, (K, M); panels (panels, K, wide): b; tiles: of rows in a block.
    """
    M, N, K = shape
    a_row, a_column = (1, M) if turned else (K, 1)
    wide, flat, tile = panels.shape[2], a.reshape(-1), part.first
    nothing, of_nothing = zeros(wide, a.dtype), zeros(tiles * ROWS, np.int64)
    while tile < part.last:
        p, first, count, tile = of_tile(tile, part.last, len(panels), tiles, M)
        length, left = whole(count), p * wide
        if count:
            rows = flat[first * a_row :], offsets(count, length, a_row), a_column
            out = y[first * N + left :], offsets(count, length, N)
            start = nothing, of_nothing[:length]
            add_product(start, rows, panels[p], min(wide, N - left), out)
