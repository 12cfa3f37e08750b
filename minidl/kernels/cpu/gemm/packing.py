"""Packing a matrix into micro-panels: NR columns wide, a row after the other (Goto & van de Geijn
2008).

A panel is read from end to end, once for each tile of rows. All panels are packed at once, because
memory is read at full speed only in the order in which it lies (panel by panel, 1.7 ms for
1280 x 1280 float32 instead of 0.7; AMD Zen 4).
"""

from __future__ import annotations

from ..runtime.arrays import clear
from ..runtime.jit import device_function
from ..runtime.parallel_for import parallel_jit
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
    """b (K, N) -> panels (panels, K, NR), the rows of this chunk."""
    pack_rows(b, chunk.first, chunk.last, panels, chunk.first)


@parallel_jit
def pack_b_transposed(b, panels, chunk):
    """b (N, K), the transpose of the matrix to pack -> panels (panels, K, NR), those of this
    chunk."""
    (N, K), NR = b.shape, panels.shape[2]
    for p in range(chunk.first, chunk.last):
        columns, panel = (p * NR, min(N, (p + 1) * NR)), panels[p].reshape(-1)
        if columns[1] - columns[0] < NR:
            clear(panel)
        transpose_block(b, columns, (0, K), panel, NR)
