"""Packing a matrix into micro-panels of NR columns, stored row by row (Goto & van de Geijn 2008).

A panel is read from end to end, once for each tile of rows. All panels are packed row by row of b,
because memory is read at full speed only in order: 0.7 ms for 1280 x 1280 float32, instead of 1.7
panel by panel (AMD Zen 4).
"""

from __future__ import annotations

from ..runtime.arrays import clear
from ..runtime.jit import device_function
from ..runtime.jobs import parallel_jit
from .transpose import transpose_block


@device_function
def pack_rows(matrix, first, last, panels, to):
    """Copy rows first ... last - 1 of matrix (R, N) to rows to, to + 1, ... of panels
    (panels, K, NR). Columns beyond N are zeros."""
    NR = panels.shape[2]
    for r in range(first, last):
        for p in range(len(panels)):
            source, row = matrix[r, p * NR : (p + 1) * NR], panels[p, to + r - first]
            for j in range(source.size):
                row[j] = source[j]
            clear(row[source.size :])


@parallel_jit
def pack_b(b, panels, chunk):
    """Pack b (K, N) -> panels (panels, K, NR), for the rows of this chunk."""
    pack_rows(b, chunk.first, chunk.last, panels, chunk.first)


@parallel_jit
def pack_b_transposed(b, panels, chunk):
    """Pack the transpose of b (N, K) -> panels (panels, K, NR), for the panels of this chunk."""
    (N, K), NR = b.shape, panels.shape[2]
    for p in range(chunk.first, chunk.last):
        columns, panel = (p * NR, min(N, (p + 1) * NR)), panels[p].reshape(-1)
        if columns[1] - columns[0] < NR:
            clear(panel)
        transpose_block(b, columns, (0, K), panel, NR)
