"""Winograd's minimal filtering on 2x2 output tiles: fewer products than outputs times taps.

Along one axis, two neighbouring outputs y of a filter w are

    y = A ((G w) * (B x))

with three small matrices of 1, 0 and -1: B transforms the inputs x of the pair, G the taps, and A
adds the products up (Winograd 1980; Lavin & Gray, *Fast Algorithms for Convolutional Neural
Networks*, CVPR 2016; their B and A are transposed). Over both axes the matrices are applied to rows
and to columns, and * becomes a matrix product over the channels.

`winograd_stride2.py` and `upsampling.py` have the matrices. In all of them a product belongs to
both outputs of a pair, or to one:

    y0 = both + first          y1 = both + second

Over both axes, with A[r, c] the products of row group r and column group c (b for both, 0, 1),

    y[r, c] = A[r, c] + (A[r, b] + A[b, b]) + A[b, c]

The products of a group are added up in registers, and the micro-kernel starts from the sums that
several outputs share. Several products may use one transformed tap: at stride 2 the 25 products of
a 3x3 filter use 16. Each is packed once, and a table gives the micro-kernel its place.

A block of work is a few rows of tiles, whose transformed input stays in a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import tuning
from ..gemm.pack_filter import panels_of
from ..gemm.register_tile import TILE
from ..runtime import buffer_pool, threadpool
from . import winograd_loops
from .filter_transform import filter_gradient, transform_filter
from .winograd_loops import Axis, TileStrides


class Transform:
    """The matrices B, G and A along one axis, and the tables that compiled loops read.

    B (products, inputs): each row is x[i], x[i] - x[j] or x[i] + x[j]. G (products, taps). A
    (outputs, products): two outputs, or a single one that is the sum of all products.

    products (products, 5): a row for each product: i, j, the sign of x[j] (0 for none), the row of
    `taps` to multiply by, and the output group: 0 both outputs, 1 the first, 2 the second. taps
    (transformed taps, taps): the distinct rows of G.
    """

    def __init__(
        self, B: Sequence[Sequence[int]], G: Sequence[Sequence[int]], A: Sequence[Sequence[int]]
    ) -> None:
        self.B, self.G, self.A = np.array(B), np.array(G), np.array(A)
        distinct = list(dict.fromkeys(map(tuple, G)))
        groups = {(1,): 0, (1, 1): 0, (1, 0): 1, (0, 1): 2}
        rows = []
        for inputs, taps, outputs in zip(self.B, G, self.A.T, strict=True):
            i, *more = [*np.flatnonzero(inputs == 1), *np.flatnonzero(inputs == -1)]
            j, sign = (more[0], inputs[more[0]]) if more else (i, 0)
            rows.append((i, j, sign, distinct.index(tuple(taps)), groups[tuple(outputs)]))
        self.products, self.taps = np.array(rows), np.array(distinct)

    def axis(self, stride: int, corner: int) -> Axis:
        """Return the output pairs along an axis: pair j reads inputs from stride j + corner on."""
        return Axis(self.products, len(self.taps), stride, corner, self.B.shape[1])


def pack(
    w: np.ndarray, down: Transform, across: Transform, *, transposed: bool = False
) -> np.ndarray:
    """Transform a filter: w (K, L, C, O) -> G w G^T, packed (panels, transformed taps C, NR).

    transposed: exchange input and output channels.
    """
    return panels_of(transform_filter, w, down.taps, across.taps, transposed=transposed)


def _tile_rows_per_block(
    tile_rows: int, tiles: int, products: int, channels: int, *, least: int
) -> int:
    """Return the rows of tiles in a block: `least` tiles, or as many as WINOGRAD_MAX_SCRATCH holds.

    tile_rows: the rows of tiles in all pictures. tiles: the tiles in a row. products: the products
    of a tile.
    """
    most = max(least, tuning.WINOGRAD_MAX_SCRATCH // max(1, products * channels))
    blocks = -(-tile_rows * tiles // most)
    return max(1, -(-tile_rows // max(1, blocks)))


def _scratch(
    chunks: int,
    x: np.ndarray,
    tiles: int,
    axes: Sequence[Axis],
    products: int,
    tile_rows: int,
    channels: int,
) -> np.ndarray:
    """Return scratch (chunks, numbers), see `winograd_loops.transform_input`.

    Each chunk's part holds a row of inputs as long as any axis reads, a row of zeros, and the
    transformed input of `tile_rows` rows of tiles.
    """
    span = max((tiles - 1) * axis.stride + axis.reach for axis in axes)
    numbers = (span + products * tile_rows * tiles) * channels + x.shape[2] * x.shape[3]
    return buffer_pool.empty((chunks, numbers), x.dtype)


class Phase(NamedTuple):
    """The outputs that have the same transforms: their axes, packed filter and places in y."""

    down: Axis
    across: Axis
    panels: np.ndarray
    strides: TileStrides


def forward(
    x: np.ndarray,
    phases: Sequence[Phase],
    b: np.ndarray | None,
    y: np.ndarray,
    tiles: tuple[int, int],
) -> np.ndarray:
    """Compute y (..., O) from x (N, H, W, C), and return it.

    phases: each computes its own part of y. b (O,), or None for no bias. tiles: the (rows, columns)
    of 2x2 output tiles in a picture, the same in every phase.
    """
    (N, _, _, C), O, (count, _, NR) = x.shape, y.shape[-1], phases[0].panels.shape
    downs, acrosses, panels, strides = zip(*phases, strict=True)
    products = [len(down.products) * len(across.products) for down, across, *_ in phases]
    tile_rows = N * tiles[0]
    rows = _tile_rows_per_block(
        tile_rows, tiles[1], max(products), C, least=tuning.WINOGRAD_MIN_TILES
    )
    jobs, work = -(-tile_rows // rows) * count, sum(products) * rows * tiles[1] * C * NR
    chunks = threadpool.chunk_count(jobs, grain=-(-tuning.MIN_MULTIPLIES // max(1, work)))
    scratch = _scratch(chunks, x, tiles[1], acrosses, max(products), rows, C)
    shared = buffer_pool.empty((chunks, 5, rows * tiles[1], count * NR), x.dtype)
    bias = np.zeros(count * NR, x.dtype)
    if b is not None:
        bias[:O] = b
    four = [(one * 4)[:4] for one in (downs, acrosses, panels, strides)]  # one type for Numba
    threadpool.parallel_for(winograd_loops.forward, jobs, chunks, x, tiles, len(phases), *four,
                            bias, scratch, shared, y.reshape(-1), O)  # fmt: skip
    return y


def grad_w(
    x: np.ndarray,
    g: np.ndarray,
    down: Transform,
    across: Transform,
    stride: int,
    corner: tuple[int, int],
) -> np.ndarray:
    """Return dw (K, L, C, O), from x (N, H, W, C) and g (N, P, Q, O). P and Q are even."""
    (N, P, Q, O), C, NR = g.shape, x.shape[3], TILE.NR(g.dtype)
    tile_rows, tiles = N * P // 2, (P // 2, Q // 2)
    products, taps = len(down.products) * len(across.products), (len(down.taps), len(across.taps))
    rows = _tile_rows_per_block(
        tile_rows, tiles[1], products, max(C, O), least=tuning.WINOGRAD_MIN_TILES_GRAD_W
    )
    blocks, work = -(-tile_rows // rows), products * tiles[1] * C * O
    by_blocks = blocks > 1 and math.prod(taps) * C * O <= tuning.MAX_PRIVATE_GRADIENT
    if by_blocks:
        length, work = blocks, work * rows
    else:
        length = -(-C // TILE.MR)
        work = -(-work * tile_rows // length)
    chunks = threadpool.chunk_count(length, grain=-(-tuning.MIN_MULTIPLIES // max(1, work)))
    channels = C if by_blocks else min(C, -(-length // chunks) * TILE.MR)
    axes = down.axis(stride, corner[0]), across.axis(stride, corner[1])
    scratch = _scratch(chunks, x, tiles[1], axes[1:], products, rows, channels)
    sums = buffer_pool.empty((chunks, -(-O // NR), rows, tiles[1], 9, NR), x.dtype)
    dU = buffer_pool.empty((chunks if by_blocks else 1, *taps, C, O), x.dtype)
    threadpool.parallel_for(winograd_loops.grad_w, length, chunks, x,
                            g.reshape(2 * tile_rows, Q, O), tiles, *axes, scratch, sums,
                            dU.reshape(len(dU), -1, C, O), by_blocks)  # fmt: skip
    for copy in dU[1:]:
        dU[0] += copy
    dw = buffer_pool.empty((down.taps.shape[1], across.taps.shape[1], C, O), x.dtype)
    chunks = threadpool.chunk_count(C, grain=-(-tuning.GRAIN_SIZE // max(1, math.prod(taps) * O)))
    threadpool.parallel_for(filter_gradient, C, chunks, dU[0], down.taps.T.copy(),
                            across.taps.T.copy(), dw)  # fmt: skip
    return dw
