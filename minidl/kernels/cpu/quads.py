"""Convolutions that compute 2 x 2 outputs at a time, whose products they share.

Along one axis, the two outputs of a pair are sums of terms, a factor times a difference of inputs.
Some terms belong to both outputs, and are computed once:

    y0 = both + first          y1 = both + second

Over both axes, a quad of outputs shares in the same way: with A[r, c] the terms of row group r and
column group c (b for both, 0 and 1),

    y[r, c] = A[r, c] + (A[r, b] + A[b, b]) + A[b, c]

`halving.py` and `upsampling.py` tell which terms there are. The terms of a group are added up in
registers, and what outputs share is where the next products start from. The gradient of a factor is
that of its outputs, added up, times the same difference.

Several terms may have one factor: at stride 2 the 25 terms of a 3x3 window have 16. A factor is
packed once, and each term's tap tells the micro-kernel where it is.

Units of work are some rows of quads, whose differences stay in a core's cache.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import fourfold, memory, threads
from .fourfold import Axis
from .packing import pack_factors, windows_of_factors
from .threads import GRAIN, WORTH
from .tiles import TILE

QUADS = 64  # that a unit of work has at least, so that a panel is used again
SUMMED = 128  # that it has for the gradient of factors, where products are sums over them
ROOM = 1 << 17  # numbers in the differences of a unit, if it has more quads than that
SMALL = 1 << 17  # numbers of a gradient that each thread may have a copy of

Place = tuple[int, int, int]  # input, other input and sign
Term = tuple[Place, Sequence[int]]


class Terms(NamedTuple):
    """Those along one axis.

    terms (terms, 5): input, other input, sign, factor and group: x[input] + sign x[other], counted
    from what a pair sees first, times that factor, as a part of both outputs (0), the first (1) or
    the second (2). factors (factors, taps): 1, 0 or -1 for each tap of the window. reach: how many
    inputs a pair sees.
    """

    terms: np.ndarray
    factors: np.ndarray
    reach: int

    def axis(self, stride: int, corner: int) -> Axis:
        """The pair j begins at the input stride j + corner."""
        return Axis(self.terms, len(self.factors), stride, corner, self.reach)


def terms_of(both: list[Term], first: list[Term], second: list[Term]) -> Terms:
    """Each is given by its place and its factor, which several may share."""
    factors = list(dict.fromkeys(tuple(factor) for _, factor in [*both, *first, *second]))
    terms = np.array(
        [
            (*place, factors.index(tuple(factor)), group)
            for group, some in enumerate((both, first, second))
            for place, factor in some
        ]
    )
    return Terms(terms, np.array(factors), int(terms[:, :2].max()) + 1)


@functools.cache
def each_of(taps: range, window: int) -> Terms:
    """A term for each of these taps of a window, in this order, for its factor alone."""
    return terms_of([((0, 0, 0), [int(k == tap) for k in range(window)]) for tap in taps], [], [])


def panels_of(w: np.ndarray, down: Terms, across: Terms, *, turned: bool = False) -> np.ndarray:
    """All factors, of w (K, L, C, O), in panels (panels, factors C, wide); turned: with its inputs
    and outputs exchanged."""
    (C, O), wide = w.shape[:1:-1] if turned else w.shape[2:], TILE.columns(w.dtype)
    rows = len(down.factors) * len(across.factors) * C
    panels = memory.empty((-(-O // wide), rows, wide), w.dtype)
    parts = threads.parts(len(panels), grain=-(-GRAIN // max(1, rows * wide)))
    threads.split(pack_factors, len(panels), parts, w, turned, down.factors, across.factors,
                  panels)  # fmt: skip
    return panels


def rows_of_unit(rows: int, wide: int, count: int, channels: int, *, least: int) -> int:
    """How many rows of quads a unit of work has, of so many quads at least, each with `count`
    terms."""
    units = -(-rows * wide // max(least, ROOM // max(1, count * channels)))
    return max(1, -(-rows // max(1, units)))


def rooms_for(
    parts: int,
    x: np.ndarray,
    quads: int,
    axes: Sequence[Axis],
    count: int,
    unit: int,
    channels: int,
) -> np.ndarray:
    """For each part, room for the differences of `unit` rows of so many quads: of a line of x that
    is as long as any of the axes sees, of a line of zeros, and of all terms."""
    span = max((quads - 1) * axis.stride + axis.reach for axis in axes)
    numbers = (span + count * unit * quads) * channels + x.shape[2] * x.shape[3]
    return memory.empty((parts, numbers), x.dtype)


class Phase(NamedTuple):
    """Those outputs whose terms are alike, their factors, and where they are: output (n, i, j) is
    y.flat[place @ (1, n, i // 2, j // 2, i % 2, j % 2)]."""

    down: Axis
    across: Axis
    panels: np.ndarray
    place: tuple[int, ...]


def forward(
    x: np.ndarray, phases: Sequence[Phase], b: np.ndarray | None, y: np.ndarray,
    quads: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """y (..., O) of x (N, H, W, C), with (rows, columns) of quads in each picture and phase."""
    (N, _, _, C), O, (count, _, wide) = x.shape, y.shape[-1], phases[0].panels.shape
    downs, acrosses, panels, places = zip(*phases, strict=True)
    terms, rows = [len(d.terms) * len(a.terms) for d, a, *_ in phases], N * quads[0]
    unit = rows_of_unit(rows, quads[1], max(terms), C, least=QUADS)
    jobs, work = -(-rows // unit) * count, sum(terms) * unit * quads[1] * C * wide
    parts = threads.parts(jobs, grain=-(-WORTH // max(1, work)))
    rooms = rooms_for(parts, x, quads[1], acrosses, max(terms), unit, C)
    sums = memory.empty((parts, 5, unit * quads[1], count * wide), x.dtype)
    bias = np.zeros(count * wide, x.dtype)
    if b is not None:
        bias[:O] = b
    four = [(one * 4)[:4] for one in (downs, acrosses, panels, places)]  # one type to Numba
    threads.split(fourfold.forward, jobs, parts, x, quads, len(phases), *four, bias, rooms, sums,
                  y.reshape(-1), O)  # fmt: skip
    return y


def grad_w(
    x: np.ndarray, g: np.ndarray, down: Terms, across: Terms, stride: int, corner: tuple[int, int]
) -> np.ndarray:
    """The gradient dw (K, L, C, O) of x (N, H, W, C) and g (N, P, Q, O), P and Q even."""
    (N, P, Q, O), C, wide = g.shape, x.shape[3], TILE.columns(g.dtype)
    rows, quads, count = N * P // 2, (P // 2, Q // 2), len(down.terms) * len(across.terms)
    factors = len(down.factors), len(across.factors)
    unit = rows_of_unit(rows, quads[1], count, max(C, O), least=SUMMED)
    units, work = -(-rows // unit), count * quads[1] * C * O
    by_units = units > 1 and math.prod(factors) * C * O <= SMALL
    if by_units:
        length, work = units, work * unit
    else:
        length = -(-C // TILE.rows)
        work = -(-work * rows // length)
    parts = threads.parts(length, grain=-(-WORTH // max(1, work)))
    channels = C if by_units else min(C, -(-length // parts) * TILE.rows)
    axes = down.axis(stride, corner[0]), across.axis(stride, corner[1])
    rooms = rooms_for(parts, x, quads[1], axes[1:], count, unit, channels)
    sums = memory.empty((parts, -(-O // wide), unit, quads[1], 9, wide), x.dtype)
    dU = memory.empty((parts if by_units else 1, *factors, C, O), x.dtype)
    threads.split(fourfold.grad_u, length, parts, x, g.reshape(2 * rows, Q, O), quads, *axes,
                  rooms, sums, dU.reshape(len(dU), -1, C, O), by_units)  # fmt: skip
    for more in dU[1:]:
        dU[0] += more
    dw = memory.empty((down.factors.shape[1], across.factors.shape[1], C, O), x.dtype)
    parts = threads.parts(C, grain=-(-GRAIN // max(1, math.prod(factors) * O)))
    threads.split(windows_of_factors, C, parts, dU[0], down.factors.T.copy(),
                  across.factors.T.copy(), dw)  # fmt: skip
    return dw
