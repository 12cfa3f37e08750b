"""Convolution at stride 2, in quads of outputs: 25 products of a 3x3 window, not 36.

Along one axis, two neighbouring outputs of a window (w0, w1, w2) both see x2:

    y0 = w0 x0 + w1 x1 + w2 x2        = (w0 + w2) x2 + w0 (x0 - x2) + w1 x1
    y1 = w0 x2 + w1 x3 + w2 x4        = (w0 + w2) x2 + w2 (x4 - x2) + w1 x3

five products instead of six, as the first is of both. A window of four has two such pairs of taps,
(w0, w2) on even and (w1, w3) on odd inputs, and six products instead of eight; over both axes that
is 25 instead of 36, and 36 instead of 64.

x's gradient is the same at stride 1: each second input is seen by each second tap. Of two such
neighbours, seen by the taps (near, far) of the windows at g1 and before,

    dx0 = far g0 + near g1            = (near + far) g1 + far  (g0 - g1)
    dx1 = far g1 + near g2            = (near + far) g1 + near (g2 - g1)

A batch of 8 pictures of 64x64 pixels, 64 channels to 128, takes 9.1, 10.1 and 9.4 ms for y, dx and
dw, where all 36 products take 11.2, 11.7 and 11.5 (AMD Zen 4, one thread).
"""

from __future__ import annotations

import functools

import numpy as np

from . import memory, quads
from .fourfold import Axis
from .kept import packed
from .quads import Phase, Terms, terms_of
from .tiles import TILE

Pad = tuple[int, int, int, int]
LEAST = 64  # quads, so that their products outweigh the packing of 25 factors
FULL = TILE.columns(np.float32)  # channels that fill a panel

FORWARD = {
    3: terms_of(
        [((2, 2, 0), (1, 0, 1))],
        [((0, 2, -1), (1, 0, 0)), ((1, 1, 0), (0, 1, 0))],
        [((4, 2, -1), (0, 0, 1)), ((3, 3, 0), (0, 1, 0))],
    ),
    4: terms_of(
        [((2, 2, 0), (1, 0, 1, 0)), ((3, 3, 0), (0, 1, 0, 1))],
        [((0, 2, -1), (1, 0, 0, 0)), ((1, 3, -1), (0, 1, 0, 0))],
        [((4, 2, -1), (0, 0, 1, 0)), ((5, 3, -1), (0, 0, 0, 1))],
    ),
}


@functools.cache
def _backward(first: int, window: int) -> Terms:
    """Of the inputs that every second tap sees, from the first on."""

    def taps(*seen: int) -> tuple[int, ...]:
        return tuple(int(tap in seen) for tap in range(window))

    near, far = first, first + 2
    if far >= window:
        return terms_of([], [((0, 0, 0), taps(near))], [((1, 1, 0), taps(near))])
    return terms_of(
        [((1, 1, 0), taps(near, far))], [((0, 1, -1), taps(far))], [((2, 1, -1), taps(near))]
    )


def pays(
    window: tuple[int, int], stride: int, pictures: int, outputs: tuple[int, int],
    channels: tuple[int, int],
) -> bool:  # fmt: skip
    """Whether all outputs lie in quads, of which there are enough, and panels are full."""
    P, Q = outputs
    fits = stride == 2 and set(window) <= {3, 4} and P % 2 == Q % 2 == 0
    return fits and pictures * P * Q >= 4 * LEAST and min(channels) >= FULL


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, outputs: tuple[int, int], pad: Pad
) -> np.ndarray:
    """y (N, P, Q, O), with (P, Q) outputs, of x (N, H, W, C), w (K, L, C, O), b (O,) or none."""
    (N, (P, Q)), (K, L, _, O) = (len(x), outputs), w.shape
    down, across = FORWARD[K], FORWARD[L]
    panels = packed(w, "halving", lambda w: quads.panels_of(w, down, across))
    y = memory.empty((N, P, Q, O), x.dtype)
    place = 0, P * Q * O, 2 * Q * O, 2 * O, Q * O, O
    all_of_it = Phase(down.axis(4, -pad[0]), across.axis(4, -pad[2]), panels, place)
    return quads.forward(np.ascontiguousarray(x), [all_of_it], b, y, (P // 2, Q // 2))


def grad_x(g: np.ndarray, w: np.ndarray, pad: Pad) -> np.ndarray:
    """dx (N, 2 P, 2 Q, C) of g (N, P, Q, O), in phases: every second pixel along either axis."""
    (N, P, Q, _), (K, L, C, _), W = g.shape, w.shape, 2 * g.shape[2]
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)

    def axis(i: int, before: int, taps: int) -> tuple[Terms, Axis]:
        found = _backward((i + before) % 2, taps)
        far = len(found.terms) == 3  # it sees the g before
        return found, found.axis(2, (i + before) // 2 - far)

    phases = []
    for i, j in np.ndindex(2, 2):
        (down, rows), (across, columns) = axis(i, pad[0], K), axis(j, pad[2], L)
        panels = quads.panels_of(w, down, across, turned=True)
        place = (i * W + j) * C, 2 * P * W * C, 4 * W * C, 4 * C, 2 * W * C, 2 * C
        phases.append(Phase(rows, columns, panels, place))
    return quads.forward(g, phases, None, memory.empty((N, 2 * P, W, C), g.dtype), (P // 2, Q // 2))


def grad_w(x: np.ndarray, g: np.ndarray, window: tuple[int, int], pad: Pad) -> np.ndarray:
    """dw (K, L, C, O) of x and g, for a window (K, L)."""
    down, across = (FORWARD[taps] for taps in window)
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    return quads.grad_w(x, g, down, across, 4, (-pad[0], -pad[2]))
