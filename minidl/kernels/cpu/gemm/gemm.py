"""Matrix products by the micro-kernel, on processors where it is faster than BLAS (`choice.py`).

Large matrices are multiplied by quarters, with seven products instead of eight (`strassen.py`).
"""

from __future__ import annotations

import numpy as np

from .. import tuning
from ..runtime import buffer_pool, threadpool
from .macrokernel import macrokernel
from .packing import pack_b, pack_b_transposed
from .prepacked import prepacked
from .register_tile import TILE
from .strassen import strassen_tiles, sum_left_quarters
from .transpose import transpose


def worth_it(rows: int, columns: int, depth: int) -> bool:
    """Return whether (rows, depth) times (depth, columns) is large enough for b to be packed."""
    return rows >= tuning.GEMM_MIN_ROWS and min(columns, depth) >= tuning.GEMM_MIN_SIDE


def gemm(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
    """Compute y (M, N) = a (M, K) b (K, N) + bias (N,), or without a bias.

    All arrays have one type, and y is C-contiguous. The result is the same for any number of
    threads, bit for bit.
    """
    bias = np.zeros(y.shape[1], y.dtype) if bias is None else bias
    (M, N), K = y.shape, a.shape[1]
    a, transposed = _contiguous_or_transposed(a)
    a = buffer_pool.writable_contiguous(a)
    if transposed and b.size > tuning.GEMM_MAX_COLUMN_READ:
        a, transposed = _transposed_copy(a), False
    by_quarters = not transposed and K % 2 == 0 and min(M, N, K) >= tuning.STRASSEN_MIN_SIDE
    panels, even = _pack(b, even=by_quarters), M // 2 * 2
    if by_quarters and even:
        _multiply_quarters(a[:even], panels, bias, y[:even])
        a, y = a[even:], y[even:]  # one row is left, or none
    if not len(y):
        return
    for rows in [slice(None)] if transposed else _blocks(len(y), K * a.itemsize):
        tiles = -(-len(y[rows]) // TILE.MR) * len(panels)
        chunks = threadpool.chunk_count(tiles, grain=_grain(panels[0].size))
        threadpool.parallel_for(
            macrokernel, tiles, chunks, a if transposed else a[rows], transposed, panels, bias,
            y[rows],
        )  # fmt: skip


def _multiply_quarters(a: np.ndarray, panels: np.ndarray, bias: np.ndarray, y: np.ndarray) -> None:
    """Compute y = a b + bias by quarters. The rows and columns of a and the panels are even."""
    (M, K), NR, dtype = (a.shape[0] // 2, a.shape[1] // 2), panels.shape[2], y.dtype
    bias = np.concatenate([bias, np.zeros(len(panels) * NR - len(bias), dtype)])
    for rows in _blocks(M, 2 * a[0].nbytes):
        upper, lower = a[:M][rows], a[M:][rows]
        count = len(upper)
        sums = buffer_pool.empty((4, count, K), dtype)
        chunks = threadpool.chunk_count(count, grain=-(-tuning.GRAIN_SIZE // K))
        threadpool.parallel_for(sum_left_quarters, count, chunks, upper, lower, sums)
        tiles = -(-count // TILE.MR) * (len(panels) // 2)
        chunks = threadpool.chunk_count(tiles, grain=_grain(7 * K * NR))
        scratch = buffer_pool.empty((chunks, 4 * K + 3 * (count + TILE.MR), NR), dtype)
        threadpool.parallel_for(
            strassen_tiles, tiles, chunks, upper, lower, sums, panels, bias, y[:M][rows],
            y[M:][rows], scratch,
        )  # fmt: skip


def _blocks(rows: int, row_bytes: int) -> list[slice]:
    """Return equally long blocks of rows, of whole tiles, that fit the level-2 cache."""
    blocks = -(-rows * row_bytes // tuning.GEMM_BLOCK_BYTES)
    length = -(-rows // (blocks * TILE.MR)) * TILE.MR
    return [slice(first, min(rows, first + length)) for first in range(0, rows, length)]


def _contiguous_or_transposed(m: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return (m.T, True) if only m.T is C-contiguous, else (m, False), copied if needed."""
    transposed = m.T.flags.c_contiguous and not m.flags.c_contiguous
    return np.ascontiguousarray(m.T if transposed else m), transposed


def _transposed_copy(m: np.ndarray) -> np.ndarray:
    """Return a copy of m whose columns are contiguous rows: the transpose, C-contiguous."""
    copy = buffer_pool.empty(m.shape[::-1], m.dtype)
    chunks = threadpool.chunk_count(len(copy), grain=-(-tuning.GRAIN_SIZE // len(m)))
    threadpool.parallel_for(transpose, len(copy), chunks, m, copy)
    return copy


def _pack(b: np.ndarray, *, even: bool) -> np.ndarray:
    """Pack b (K, N) -> panels (panels, K, NR), zero beyond N. even: an even number of panels."""
    (K, N), (b, transposed), NR = b.shape, _contiguous_or_transposed(b), TILE.NR(b.dtype)
    count = 2 * -(-N // (2 * NR)) if even else -(-N // NR)

    def pack(b: np.ndarray) -> np.ndarray:
        panels = buffer_pool.empty((count, K, NR), b.dtype)
        loop, length = (pack_b_transposed, count) if transposed else (pack_b, K)
        grain = -(-tuning.GRAIN_SIZE * length // panels.size)
        chunks = threadpool.chunk_count(length, grain=grain)
        threadpool.parallel_for(loop, length, chunks, buffer_pool.writable_contiguous(b), panels)
        return panels

    return prepacked(b, ("matmul", transposed, even), pack)


def _grain(numbers: int) -> int:
    """Return the tiles that are worth a thread, if a tile multiplies MR x `numbers` numbers."""
    return -(-tuning.MIN_MULTIPLIES // (TILE.MR * numbers))
