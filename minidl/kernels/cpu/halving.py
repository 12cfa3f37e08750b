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
"""

from __future__ import annotations

import functools

import numpy as np

from . import memory, quads
from .kept import packed
from .quads import Terms, terms
from .tiles import TILE

Pad = tuple[int, int, int, int]
LEAST = 64  # quads, so that their products outweigh the packing of 25 factors
FULL = TILE.columns(np.float32)  # channels that fill a panel

FORWARD = {
    3: terms(
        [((2, 2, 0), (1, 0, 1))],
        [((0, 2, -1), (1, 0, 0)), ((1, 1, 0), (0, 1, 0))],
        [((4, 2, -1), (0, 0, 1)), ((3, 3, 0), (0, 1, 0))],
    ),
    4: terms(
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
        return terms([], [((0, 0, 0), taps(near))], [((1, 1, 0), taps(near))])
    return terms(
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


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, outputs: tuple[int, int], pad: Pad
) -> np.ndarray:
    (N, (P, Q)), (K, L, _, O) = (len(x), outputs), w.shape
    down, across = FORWARD[K], FORWARD[L]
    panels = packed(w, "halving", lambda w: quads.panels_of(w, down, across))
    y = memory.empty((N, P, Q, O), x.dtype)
    quads.forward(np.ascontiguousarray(x), panels, quads.bias_of(b, panels), y, (P // 2, Q // 2),
                  down.axis(4, -pad[0]), across.axis(4, -pad[2]),
                  (0, P * Q * O, Q * O, O), O)  # fmt: skip
    return y


def conv2d_grad_x(g: np.ndarray, w: np.ndarray, pad: Pad) -> np.ndarray:
    """Of pictures twice as large as g."""
    (N, P, Q, _), (K, L, C, _), W = g.shape, w.shape, 2 * g.shape[2]
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)
    dx = memory.empty((N, 2 * P, W, C), g.dtype)
    for i in range(2):
        for j in range(2):
            down, across = _backward((i + pad[0]) % 2, K), _backward((j + pad[2]) % 2, L)
            corner = [(n + before) // 2 - (axis.count == 3)  # a far tap sees the g before
                      for n, before, axis in ((i, pad[0], down), (j, pad[2], across))]  # fmt: skip
            panels = quads.panels_of(w, down, across, turned=True)
            quads.forward(g, panels, quads.bias_of(None, panels), dx, (P // 2, Q // 2),
                          down.axis(2, corner[0]), across.axis(2, corner[1]),
                          ((i * W + j) * C, 2 * P * W * C, 2 * W * C, 2 * C), C)  # fmt: skip
    return dx


def conv2d_grad_w(x: np.ndarray, g: np.ndarray, window: tuple[int, int], pad: Pad) -> np.ndarray:
    down, across = (FORWARD[taps] for taps in window)
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    return quads.grad_w(x, g, down, across, 4, (-pad[0], -pad[2]))
