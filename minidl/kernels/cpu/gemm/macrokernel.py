"""The macro-kernel: the micro-kernel over the tiles of a matrix product (Goto & van de Geijn 2008;
BLIS).

a is read where it lies; b is packed in micro-panels. `gemm.py` calls the macro-kernel for one block
of a's rows after another. The block stays in the level-2 cache, beside a panel, while all panels of
b are multiplied with it: (4000 x 1280) times (1280 x 1280) reaches 109 GFLOP/s instead of 99 (AMD
Zen 4).

Tiles are numbered panel by panel. A chunk is a range of these numbers.
"""

from __future__ import annotations

import numpy as np

from ..runtime.arrays import zeros
from ..runtime.jit import device_function
from ..runtime.jobs import parallel_jit
from .microkernel import MR, A, B, C, brgemm
from .offsets import offsets


@device_function
def tile_to_rows(tile, last, rows):
    """Decode a tile number, and find the run of tiles from it on, in one panel, before `last`.

    Return the panel, the tile's first row, the number of the matrix's `rows` in the run, the number
    of rows of the run's tiles, with padding, and the number of the next tile.
    """
    tiles = (rows + MR - 1) // MR
    inside = tile % tiles
    run = min(tiles - inside, last - tile)
    first = inside * MR
    return tile // tiles, first, min(rows - first, run * MR), run * MR, tile + run


@device_function
def add_product(start, a, panel, n, y):
    """Compute y = start + a panel, the first n columns.

    start, y: (flat array, offsets of its rows). a: (flat array, offsets of its rows, distance of
    its columns, in numbers). panel (K, NR).
    """
    (K, NR), one = panel.shape, zeros(1, np.int64)
    rows = A(a[0], a[1], one, a[2])
    panels = B(panel.reshape(-1), one, K * NR, NR)
    brgemm(rows, panels, C(y[0], y[1], (start[0],), (start[1],)), K, n, (0, 1))


@parallel_jit
def macrokernel(a, transposed, panels, bias, y, chunk):
    """Compute y (M, N) = a b + bias, for the tiles of this chunk.

    a (M, K), or (K, M) if transposed. panels (panels, K, NR): b (K, N). bias (N,).
    """
    (M, N), (_, K, NR), tile = y.shape, panels.shape, chunk.first
    row, column = (1, M) if transposed else (K, 1)
    a, y = a.reshape(-1), y.reshape(-1)
    while tile < chunk.last:
        p, r, count, length, tile = tile_to_rows(tile, chunk.last, M)
        add_product(
            (bias[p * NR :], zeros(length, np.int64)),
            (a[r * row :], offsets(count, length, row), column),
            panels[p],
            min(NR, N - p * NR),
            (y[r * N + p * NR :], offsets(count, length, N)),
        )
