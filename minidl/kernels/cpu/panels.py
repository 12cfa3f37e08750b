"""The loops of a matrix product around the micro-kernel: packing b, and a times what was packed.

a's rows are read where they lie. b becomes panels, two vectors wide: all of them at once, because
its rows are read as fast as memory is only from end to end (panel by panel, 1.7 ms for 1280 x 1280
float32 instead of 0.7; AMD Zen 4).

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
from .turning import turned


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
    for p in range(part.first, part.last):
        columns, panel = (p * wide, min(N, (p + 1) * wide)), panels[p].reshape(-1)
        if columns[1] - columns[0] < wide:
            clear(panel)
        turned(b, columns, (0, K), panel, wide)


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
    """y = start + a panel, `used` columns. start, a, y: numbers, and where in them rows begin; of a
    also how far apart columns are."""
    one = panel.reshape((1, panel.shape[0], panel.shape[1]))
    products(a[0], a[1], zeros(1, np.int64), panel.shape[0], a[2], one, (0, 1), used,
             y[0], y[1], (start[0],), (start[1],))  # fmt: skip


@parallel
def multiply(a, turned, panels, tiles, y, part):
    """Tiles first to last - 1 of y (M, N) = a b, of a (M, K), or, turned, (K, M), and b in panels
    (panels, K, wide). tiles: of a panel and a block."""
    (M, N), (_, K, wide), tile = y.shape, panels.shape, part.first
    row, column = (1, M) if turned else (K, 1)
    nothing, of_nothing = zeros(wide, a.dtype), zeros(tiles * ROWS, np.int64)
    a, y = a.reshape(-1), y.reshape(-1)
    while tile < part.last:
        p, first, count, tile = of_tile(tile, part.last, len(panels), tiles, M)
        length, left = whole(count), p * wide
        if count:
            add_product(
                (nothing, of_nothing[:length]),
                (a[first * row :], offsets(count, length, row), column),
                panels[p],
                min(wide, N - left),
                (y[first * N + left :], offsets(count, length, N)),
            )
