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

MANY = 128  # rows of a, for which packing b pays
SMALLEST = 32  # other sides for which it does
BY_QUARTERS = 240  # side of a matrix from which on seven products of quarters pay
FEW = 1 << 18  # numbers of b, at most, for which a transposed a is read by columns, where it lies
BLOCK = 3 << 20  # bytes of a's rows for which all panels are gone through, at most


def pays(rows: int, columns: int, depth: int) -> bool:
    """Whether a product (rows, depth) (depth, columns) is large enough for what this takes."""
    return rows >= MANY and min(columns, depth) >= SMALLEST


def product(a: np.ndarray, b: np.ndarray, bias: np.ndarray, y: np.ndarray) -> None:
    """y (M, N) = a (M, K) b (K, N) + bias (N,), all of one type; y in order of memory.

    The same results for any number of threads, bit by bit.
    """
    (M, N), K = y.shape, a.shape[1]
    a, turned = _in_order(a)
    a = memory.for_loop(a)
    if turned and b.size > FEW:
        a, turned = _turned(a), False
    cut = not turned and K % 2 == 0 and min(M, N, K) >= BY_QUARTERS
    panels, pairs = _panels(b, even=cut), M // 2 * 2
    if cut and pairs:
        _by_quarters(a[:pairs], panels, bias, y[:pairs])
        a, y, M = a[pairs:], y[pairs:], M - pairs  # a row, or none
    if not M:
        return
    for rows in [slice(0, M)] if turned else _blocks(M, K * a.itemsize):
        tiles = -(-len(y[rows]) // TILE.rows) * len(panels)
        parts = threads.parts(tiles, grain=_grain(panels[0].size))
        threads.split(
            multiply, tiles, parts, a if turned else a[rows], turned, panels, bias, y[rows]
        )


def _by_quarters(a: np.ndarray, panels: np.ndarray, bias: np.ndarray, y: np.ndarray) -> None:
    """y = a b + bias, of as many rows of a and panels as make pairs."""
    (M, K), wide, dtype = (a.shape[0] // 2, a.shape[1] // 2), panels.shape[2], y.dtype
    bias = np.concatenate([bias, np.zeros(len(panels) * wide - len(bias), dtype)])
    for rows in _blocks(M, 2 * a[0].nbytes):
        upper, lower = a[:M][rows], a[M:][rows]
        count = len(upper)
        sums = memory.empty((4, count, K), dtype)
        parts = threads.parts(count, grain=-(-GRAIN // K))
        threads.split(add_left, count, parts, upper, lower, sums)
        tiles = -(-count // TILE.rows) * (len(panels) // 2)
        parts = threads.parts(tiles, grain=_grain(7 * K * wide))
        room = memory.empty((parts, 4 * K + 3 * (count + TILE.rows), wide), dtype)
        threads.split(
            multiply_seven, tiles, parts, upper, lower, sums, panels, bias, y[:M][rows],
            y[M:][rows], room,
        )  # fmt: skip


def _blocks(rows: int, size: int) -> list[slice]:
    """All rows, of so many bytes, in blocks of whole tiles, about equally long."""
    blocks = -(-rows * size // BLOCK)
    length = -(-rows // (blocks * TILE.rows)) * TILE.rows
    return [slice(first, min(rows, first + length)) for first in range(0, rows, length)]


def _in_order(m: np.ndarray) -> tuple[np.ndarray, bool]:
    """m or its transpose, whichever lies in order of memory, and whether that is the transpose."""
    turned = m.T.flags.c_contiguous and not m.flags.c_contiguous
    return np.ascontiguousarray(m.T if turned else m), turned


def _turned(m: np.ndarray) -> np.ndarray:
    """The transpose of m, in order of memory."""
    rows = memory.empty(m.shape[::-1], m.dtype)
    parts = threads.parts(len(rows), grain=-(-GRAIN // len(m)))
    threads.split(transpose, len(rows), parts, m, rows)
    return rows


def _panels(b: np.ndarray, *, even: bool) -> np.ndarray:
    """b (K, N) as panels (panels, K, wide), and zeros; even: as many as make pairs."""
    (K, N), (b, turned), wide = b.shape, _in_order(b), TILE.columns(b.dtype)
    count = 2 * -(-N // (2 * wide)) if even else -(-N // wide)

    def pack(b: np.ndarray) -> np.ndarray:
        panels = memory.empty((count, K, wide), b.dtype)
        loop, length = (pack_columns, len(panels)) if turned else (pack_rows, K)
        parts = threads.parts(length, grain=-(-GRAIN * length // panels.size))
        threads.split(loop, length, parts, memory.for_loop(b), panels)
        return panels

    return packed(b, ("matmul", turned, even), pack)


def _grain(numbers: int) -> int:
    """Tiles, each of ROWS rows times so many numbers, that are worth a thread."""
    return -(-WORTH // (TILE.rows * numbers))
