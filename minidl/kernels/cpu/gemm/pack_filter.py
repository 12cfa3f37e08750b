"""Packing a filter into panels: for each panel, the chosen taps one after another, C rows each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import tuning
from ..runtime import buffer_pool, threadpool
from ..runtime.arrays import clear
from ..runtime.jit import device_function
from ..runtime.jobs import parallel_jit
from .register_tile import TILE
from .transpose import transpose_block


@device_function
def load_tap(tap, transposed, row, column, out):
    """Copy the block of a tap (C, O) that begins at (row, column) to out (rows, columns), with
    zeros beyond the tap's columns. transposed: read the tap as (O, C)."""
    rows, columns = out.shape
    used = min(columns, tap.shape[0 if transposed else 1] - column)
    if used < columns:
        clear(out.reshape(-1))
    if transposed:
        block = out.reshape(-1)
        transpose_block(tap, (column, column + used), (row, row + rows), block, columns)
    else:
        for r in range(rows):
            source, target = tap[row + r, column : column + used], out[r]
            for j in range(used):
                target[j] = source[j]


@parallel_jit
def pack_filter(w, down, across, transposed, panels, chunk):
    """Pack w (K, L, C, O) -> panels (panels, len(down) len(across) C, NR), those of this chunk.

    down, across: the numbers of the taps along either axis, in the order in which they are packed.
    transposed: exchange input and output channels.
    """
    rows, NR = w.shape[3] if transposed else w.shape[2], panels.shape[2]
    for p in range(chunk.first, chunk.last):
        for i in range(down.size):
            for j in range(across.size):
                first = (i * across.size + j) * rows
                out = panels[p, first : first + rows]
                load_tap(w[down[i], across[j]], transposed, 0, p * NR, out)


def panels_of(
    loop: Callable[..., int],
    w: np.ndarray,
    down: np.ndarray,
    across: np.ndarray,
    *,
    transposed: bool,
) -> np.ndarray:
    """Return w (K, L, C, O) packed by `loop`: panels (panels, len(down) len(across) C, NR).

    loop: `pack_filter`, or `transform_filter`, which has the same arguments. The threads share the
    panels.
    """
    (C, O), NR = w.shape[:1:-1] if transposed else w.shape[2:], TILE.NR(w.dtype)
    rows = len(down) * len(across) * C
    panels = buffer_pool.empty((-(-O // NR), rows, NR), w.dtype)
    grain = -(-tuning.GRAIN_SIZE // max(1, rows * NR))
    chunks = threadpool.chunk_count(len(panels), grain=grain)
    threadpool.parallel_for(loop, len(panels), chunks, w, down, across, transposed, panels)
    return panels
