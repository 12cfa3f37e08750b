"""Convolution at stride 2, two by two outputs at a time: 25 products of a 3x3 window, not 36.

Along one axis, two neighbouring outputs of a window (w0, w1, w2) both see x2:

    y0 = w0 x0 + w1 x1 + w2 x2        = (w0 + w2) x2 + w0 (x0 - x2) + w1 x1
    y1 = w0 x2 + w1 x3 + w2 x4        = (w0 + w2) x2 + w2 (x4 - x2) + w1 x3

five products instead of six, as the first is of both. A window of four has two such pairs of taps,
(w0, w2) on even and (w1, w3) on odd inputs, and six products instead of eight; over both axes that
is 25 instead of 36, and 36 instead of 64.

x's gradient is the same at stride 1: each second input is seen by each second tap, g times (wb, wa)
= (w2, w0), say, so that of the inputs that lie 2 apart

    dx0 = wb g0 + wa g1               = (wa + wb) g1 + wb (g0 - g1)
    dx1 = wb g1 + wa g2               = (wa + wb) g1 + wa (g2 - g1)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import memory, threads
from .kept import packed
from .packing import pack_terms, windows_of_terms
from .quads import Axis, forward, grad_u, room_of
from .threads import GRAIN, WORTH
from .tiles import TILE

Pad = tuple[int, int, int, int]
QUADS = 128
ROOM = 1 << 17  # numbers in the differences of a unit, if it has more quads than that
SMALL = 1 << 17  # numbers of a gradient that each thread may have a copy of
LEAST = 64  # quads, so that their products outweigh the packing of 25 factors


class Terms(NamedTuple):
    """Of pairs along one axis: which inputs, which taps of the window (terms, taps), which groups."""

    places: np.ndarray
    factors: np.ndarray
    groups: np.ndarray
    reach: int

    def axis(self, stride: int, corner: int) -> Axis:
        return Axis(self.places, self.groups, stride, corner, self.reach)


def _terms(both: list, first: list, second: list, *, taps: int) -> Terms:
    """Each term: the inputs (first, second, sign), and the taps whose sum is its factor."""
    rows = both + first + second
    factors = np.zeros((len(rows), taps), np.int64)
    for row, (_, of_window) in zip(factors, rows, strict=True):
        row[list(of_window)] = 1
    places = np.array([place for place, _ in rows])
    groups = np.cumsum([0, len(both), len(first), len(second)])
    return Terms(places, factors, groups, int(places[:, :2].max()) + 1)


FORWARD = {
    3: _terms(
        [((2, 2, 0), (0, 2))],
        [((0, 2, -1), (0,)), ((1, 1, 0), (1,))],
        [((4, 2, -1), (2,)), ((3, 3, 0), (1,))],
        taps=3,
    ),
    4: _terms(
        [((2, 2, 0), (0, 2)), ((3, 3, 0), (1, 3))],
        [((0, 2, -1), (0,)), ((1, 3, -1), (1,))],
        [((4, 2, -1), (2,)), ((5, 3, -1), (3,))],
        taps=4,
    ),
}


@functools.cache
def _backward(first: int, window: int) -> Terms:
    """Of the inputs that every second tap sees, from the first on, of g at stride 1."""
    taps = range(first, window, 2)
    if len(taps) == 1:
        return _terms([], [((0, 0, 0), taps)], [((1, 1, 0), taps)], taps=window)
    near, far = taps  # the far tap sees the g before
    return _terms(
        [((1, 1, 0), taps)], [((0, 1, -1), [far])], [((2, 1, -1), [near])], taps=window
    )


def pays(
    window: tuple[int, int], stride: int, pictures: int, outputs: tuple[int, int],
    channels: tuple[int, int],
) -> bool:  # fmt: skip
    """Whether all outputs lie in quads, of which there are enough, and panels are full."""
    P, Q = outputs
    fits = stride == 2 and set(window) <= {3, 4} and P % 2 == Q % 2 == 0
    return fits and pictures * P * Q >= 4 * LEAST and min(channels) >= TILE.columns(np.float32)


def _unit(rows: int, wide: int, terms: int, channels: int) -> int:
    """How many rows of quads a unit of work has."""
    units = -(-rows * wide // max(QUADS, ROOM // (terms * channels)))
    return max(1, -(-rows // max(1, units)))


def _panels(w: np.ndarray, down: Terms, across: Terms, *, turned: bool = False) -> np.ndarray:
    """The factors of all terms; turned: of w with inputs and outputs exchanged."""
    (C, O), wide = w.shape[:1:-1] if turned else w.shape[2:], TILE.columns(w.dtype)
    terms = len(down.places) * len(across.places)
    panels = memory.empty((-(-O // wide), terms * C, wide), w.dtype)
    parts = threads.parts(len(panels), grain=-(-GRAIN // (terms * C * wide)))
    threads.split(pack_terms, len(panels), parts, w, turned, down.factors, across.factors,
                  down.groups, across.groups, panels)  # fmt: skip
    return panels


def _forward(
    x: np.ndarray, panels: np.ndarray, bias: np.ndarray, y: np.ndarray, quads: tuple[int, int],
    down: Axis, across: Axis, columns: int, place: tuple[int, int, int, int],
) -> None:  # fmt: skip
    (N, _, _, C), (count, _, wide), (tall, across_quads) = x.shape, panels.shape, quads
    terms = len(down.places) * len(across.places)
    unit = _unit(N * tall, across_quads, terms, C)
    jobs = -(-N * tall // unit) * count
    parts = threads.parts(jobs, grain=-(-WORTH // (terms * unit * across_quads * C * wide)))
    numbers = room_of(x, across_quads, across, terms, unit * across_quads, C)
    rooms = memory.empty((parts, numbers), x.dtype)
    sums = memory.empty((parts, 5, unit * across_quads, count * wide), x.dtype)
    threads.split(forward, jobs, parts, x, quads, down, across, panels, bias, rooms, sums,
                  y.reshape(-1), columns, place)  # fmt: skip


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, outputs: tuple[int, int], pad: Pad
           ) -> np.ndarray:  # fmt: skip
    (N, H, W, C), (K, L, _, O), (P, Q) = x.shape, w.shape, outputs
    down, across = FORWARD[K], FORWARD[L]
    panels = packed(w, "halving", lambda w: _panels(w, down, across))
    bias = np.zeros(panels.shape[0] * panels.shape[2], x.dtype)
    if b is not None:
        bias[:O] = b
    y, place = memory.empty((N, P, Q, O), x.dtype), (0, P * Q * O, Q * O, O)
    _forward(np.ascontiguousarray(x), panels, bias, y, (P // 2, Q // 2), down.axis(4, -pad[0]),
             across.axis(4, -pad[2]), O, place)  # fmt: skip
    return y


def conv2d_grad_x(g: np.ndarray, w: np.ndarray, size: tuple[int, int], pad: Pad) -> np.ndarray:
    (N, P, Q, O), (K, L, C, _), (H, W) = g.shape, w.shape, size
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)
    dx = memory.empty((N, H, W, C), g.dtype)
    for i in range(2):
        down = _backward((i + pad[0]) % 2, K)
        for j in range(2):
            across = _backward((j + pad[2]) % 2, L)
            panels = _panels(w, down, across, turned=True)
            bias = np.zeros(panels.shape[0] * panels.shape[2], g.dtype)
            place = (i * W + j) * C, H * W * C, 2 * W * C, 2 * C
            corner = [(n + p) // 2 - (len(t.places) == 3) for n, p, t in
                      ((i, pad[0], down), (j, pad[2], across))]  # fmt: skip
            _forward(g, panels, bias, dx, (P // 2, Q // 2), down.axis(2, corner[0]),
                     across.axis(2, corner[1]), C, place)  # fmt: skip
    return dx


def conv2d_grad_w(x: np.ndarray, g: np.ndarray, window: tuple[int, int], pad: Pad) -> np.ndarray:
    (N, P, Q, O), (K, L), C, wide = g.shape, window, x.shape[3], TILE.columns(g.dtype)
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    down, across, rows, across_quads = FORWARD[K], FORWARD[L], N * P // 2, Q // 2
    terms = len(down.places) * len(across.places)
    unit = _unit(rows, across_quads, terms, max(C, O))
    units, work = -(-rows // unit), terms * across_quads * C * O
    by_units = units > 1 and terms * C * O <= SMALL
    if by_units:
        length, work = units, work * unit
    else:
        length = -(-C // TILE.rows)
        work = -(-work * rows // length)
    parts = threads.parts(length, grain=-(-WORTH // work))
    channels = C if by_units else min(C, -(-length // parts) * TILE.rows)
    numbers = room_of(x, across_quads, across.axis(4, 0), terms, unit * across_quads, channels)
    rooms = memory.empty((parts, numbers), x.dtype)
    sums = memory.empty((parts, -(-O // wide), unit, across_quads, 9, wide), x.dtype)
    dU = memory.empty((parts if by_units else 1, terms, C, O), x.dtype)
    threads.split(grad_u, length, parts, x, g.reshape(2 * rows, Q, O), (P // 2, across_quads),
                  down.axis(4, -pad[0]), across.axis(4, -pad[2]), rooms, sums, dU, by_units)  # fmt: skip
    for more in dU[1:]:
        dU[0] += more
    dw = memory.empty((K, L, C, O), x.dtype)
    threads.split(windows_of_terms, C, threads.parts(C, grain=-(-GRAIN // (terms * O))), dU[0],
                  down.factors, across.factors, dw)  # fmt: skip
    return dw
