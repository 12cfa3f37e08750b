"""The loops of a matrix product around the micro-kernel: packing b, and a times what was packed.

a's rows are read where they lie. b becomes panels, two vectors wide: all of them at once, because
its rows are read as fast as memory is only from end to end (panel by panel, 1.7 ms for 1280 x 1280
float32 instead of 0.7; AMD Zen 4). All panels are gone through for a block of a's rows that the
cache holds beside a panel (`dense.py`): of (4000 x 1280) times (1280 x 1280), 109 GFLOP/s instead
of 99.

A tile is the micro-kernel's: ROWS rows of a times one panel. They are numbered panel by panel, and
parts of that range are what threads take.
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
def of_tile(tile, last, rows):
    """For a tile and those after it, before the tile `last`, of the same panel: the panel, the
    first row, how many of `rows` there are, how many the tiles have, and the tile after those."""
    tiles = (rows + ROWS - 1) // ROWS
    inside = tile % tiles
    some = min(tiles - inside, last - tile)
    first = inside * ROWS
    return tile // tiles, first, min(rows - first, some * ROWS), some * ROWS, tile + some


@inner
def add_product(start, a, panel, used, y):
    """y = start + a panel, `used` columns. start, a, y: numbers, and where in them rows begin; of a
    also how far apart columns are."""
    K, wide = panel.shape
    one = zeros(1, np.int64)
    products(a[0], a[1], one, K, a[2], panel.reshape(-1), one, (K * wide, wide), (0, 1), used, y[0],
             y[1], (start[0],), (start[1],))  # fmt: skip


@parallel
def multiply(a, turned, panels, bias, y, part):
    """Tiles first to last - 1 of y (M, N) = a b + bias (N,), of a (M, K), or, turned, (K, M), and b
    in panels (panels, K, wide)."""
    (M, N), (_, K, wide), tile = y.shape, panels.shape, part.first
    row, column = (1, M) if turned else (K, 1)
    a, y = a.reshape(-1), y.reshape(-1)
    while tile < part.last:
        p, r, count, length, tile = of_tile(tile, part.last, M)
        add_product(
            (bias[p * wide :], zeros(length, np.int64)),
            (a[r * row :], offsets(count, length, row), column),
            panels[p],
            min(wide, N - p * wide),
            (y[r * N + p * wide :], offsets(count, length, N)),
        )
