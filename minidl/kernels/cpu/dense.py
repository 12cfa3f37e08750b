"""Matrix products by the micro-kernel, for processors on which it is faster than BLAS.

Which those are, `tiles.py` says. Large matrices are multiplied by quarters, with seven products
instead of eight (`strassen.py`).
"""

from __future__ import annotations

import numpy as np

from . import memory, threads
from .kept import packed
from .panels import multiply, pack_columns, pack_rows
from .strassen import add_left, multiply_seven
from .threads import GRAIN, WORTH
from .tiles import TILE
from .turning import transpose

SMALLEST = 64  # side of a matrix for which packing pays
BY_QUARTERS = 240  # side of a matrix from which on seven products of quarters pay
FEW = 1 << 19  # numbers of b, for which a transposed a is read by columns, where it lies
BLOCK = 512  # rows of a and of the result that all panels are gone through for


def pays(rows: int, columns: int, depth: int) -> bool:
    """Whether a product (rows, depth) (depth, columns) is large enough for what this takes."""
    return min(rows, columns, depth) >= SMALLEST


def product(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y (M, N) = a (M, K) b (K, N), all of one type; y in order of memory.

    The same results for any number of threads, bit by bit.
    """
    (M, N), K = y.shape, a.shape[1]
    (a, turned), panels = _in_order(a), _panels(b)
    a = _of_numba(a)
    if turned and b.size > FEW:
        a, turned = _turned(a), False
    halves = M % 2 == K % 2 == N % (2 * TILE.columns(y.dtype)) == 0
    if halves and min(M, N, K) >= BY_QUARTERS and not turned:
        _by_quarters(a, panels, y)
        return
    tiles, count = _tiles(M, BLOCK)
    parts = threads.parts(count * len(panels), grain=_grain(panels[0].size))
    threads.split(multiply, count * len(panels), parts, a, turned, panels, tiles, y)


def _by_quarters(a: np.ndarray, panels: np.ndarray, y: np.ndarray) -> None:
    """y = a b, all of them even to the panels' halves."""
    (M, K), wide, dtype = (a.shape[0] // 2, a.shape[1] // 2), panels.shape[2], y.dtype
    left_sums = memory.empty((4, M, K), dtype)
    threads.split(add_left, M, threads.parts(M, grain=-(-GRAIN // K)), a, left_sums)
    tiles, count = _tiles(M, BLOCK // 2)
    jobs = count * len(panels) // 2
    parts = threads.parts(jobs, grain=_grain(7 * K * wide))
    right_sums = memory.empty((parts, 4, K, wide), dtype)
    shared = memory.empty((parts, 2, tiles * TILE.rows * wide), dtype)
    threads.split(multiply_seven, jobs, parts, a, left_sums, panels, tiles, y, right_sums, shared)


def _in_order(m: np.ndarray) -> tuple[np.ndarray, bool]:
    """m or its transpose, whichever lies in order of memory, and whether that is the transpose."""
    turned = m.T.flags.c_contiguous and not m.flags.c_contiguous
    return np.ascontiguousarray(m.T if turned else m), turned


def _of_numba(m: np.ndarray) -> np.ndarray:
    """m, or a copy if it may not be written, which to Numba is another type."""
    return np.require(m, requirements=["C", "W"])


def _turned(m: np.ndarray) -> np.ndarray:
    """The transpose of m, in order of memory."""
    rows = memory.empty(m.shape[::-1], m.dtype)
    parts = threads.parts(len(rows), grain=-(-GRAIN // len(m)))
    threads.split(transpose, len(rows), parts, m, rows)
    return rows


def _panels(b: np.ndarray) -> np.ndarray:
    """b (K, N) as panels (panels, K, wide)."""
    (K, N), (b, turned) = b.shape, _in_order(b)

    def pack(b: np.ndarray) -> np.ndarray:
        panels = memory.empty((-(-N // TILE.columns(b.dtype)), K, TILE.columns(b.dtype)), b.dtype)
        loop, length = (pack_columns, len(panels)) if turned else (pack_rows, K)
        parts = threads.parts(length, grain=-(-GRAIN * length // panels.size))
        threads.split(loop, length, parts, _of_numba(b), panels)
        return panels

    return packed(b, ("matmul", turned), pack)


def _tiles(rows: int, most: int) -> tuple[int, int]:
    """Tiles of a block, of `most` rows or fewer, and of all blocks; they are equally long."""
    tiles = -(-rows // TILE.rows)
    blocks = -(-tiles * TILE.rows // most)
    return -(-tiles // blocks), -(-tiles // blocks) * blocks


def _grain(numbers: int) -> int:
    """Tiles, each of ROWS rows times so many numbers, that are worth a thread."""
    return -(-WORTH // (TILE.rows * numbers))
