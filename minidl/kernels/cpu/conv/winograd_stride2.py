"""Convolution at stride 2 on 2x2 output tiles: 25 products of a 3x3 filter, not 36.

This is the Decomposable Winograd Method with F(2, 2) (Huang et al., *DWM*, AAAI 2020): minimal
filtering on the even taps, a direct product on the odd one. A filter of four taps takes 36 products
instead of 64. `kernels/algorithms/winograd.py` derives the matrices.

The gradient with respect to x works in the same way, at stride 1: every second input meets only
every second tap. Two neighbours among these inputs, with the taps near and far, are

    dx0 = far g0 + near g1            = (near + far) g1 + far  (g0 - g1)
    dx1 = far g1 + near g2            = (near + far) g1 + near (g2 - g1)

A batch of 8 pictures of 64x64 pixels, 64 channels to 128, takes 9.1, 10.1 and 9.4 ms for y, dx and
dw; with all 36 products 11.2, 11.7 and 11.5 (AMD Zen 4, one thread).
"""

from __future__ import annotations

import functools

import numpy as np

from ...algorithms import winograd as algorithm
from ...checks import Padding
from .. import tuning
from ..gemm.prepacked import prepacked
from ..gemm.register_tile import TILE
from ..runtime import buffer_pool
from . import winograd
from .winograd import Phase, Transform
from .winograd_loops import Axis, TileStrides

STRIDE_2 = {taps: Transform(*matrices) for taps, matrices in algorithm.STRIDE_2.items()}


@functools.cache
def every_second_tap(first: int, count: int) -> Transform:
    """Return the transform for two neighbouring inputs of tap `first`, and of first + 2 if any."""
    taps = np.eye(count, dtype=int).tolist()
    near = taps[first]
    if first + 2 >= count:
        return Transform(B=[[1, 0], [0, 1]], G=[near, near], A=[[1, 0], [0, 1]])
    far = taps[first + 2]
    both = [a + b for a, b in zip(near, far, strict=True)]
    return Transform(
        B=[[0, 1, 0], [1, -1, 0], [0, -1, 1]], G=[both, far, near], A=[[1, 1, 0], [1, 0, 1]]
    )


def worth_it(
    kernel_size: tuple[int, int],
    stride: int,
    pictures: int,
    outputs: tuple[int, int],
    channels: tuple[int, int],
) -> bool:
    """Return whether 2x2 tiles cover the outputs, there are enough of them, and panels are full."""
    (P, Q), NR = outputs, TILE.NR(np.float32)
    fits = stride == 2 and set(kernel_size) <= STRIDE_2.keys() and P % 2 == Q % 2 == 0
    enough = pictures * P * Q >= 4 * tuning.STRIDE2_MIN_TILES
    return fits and enough and min(channels) >= NR * tuning.STRIDE2_MIN_PANELS


def forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, outputs: tuple[int, int], padding: Padding
) -> np.ndarray:
    """Return y (N, P, Q, O), with outputs (P, Q), from x (N, H, W, C), w (K, L, C, O), b (O,)."""
    (N, (P, Q)), (K, L, _, O) = (len(x), outputs), w.shape
    down, across = STRIDE_2[K], STRIDE_2[L]
    panels = prepacked(w, "stride 2", lambda w: winograd.pack(w, down, across))
    y = buffer_pool.empty((N, P, Q, O), x.dtype)
    strides = TileStrides(0, P * Q * O, 2 * Q * O, 2 * O, Q * O, O)
    phase = Phase(down.axis(4, -padding[0]), across.axis(4, -padding[2]), panels, strides)
    return winograd.forward(np.ascontiguousarray(x), [phase], b, y, (P // 2, Q // 2))


def grad_x(g: np.ndarray, w: np.ndarray, padding: Padding) -> np.ndarray:
    """Return dx (N, 2 P, 2 Q, C), from g (N, P, Q, O) and w (K, L, C, O).

    Each of four phases computes every second pixel along either axis.
    """
    (N, P, Q, _), (K, L, C, _), W = g.shape, w.shape, 2 * g.shape[2]
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)

    def phase_along(i: int, before: int, taps: int) -> tuple[Transform, Axis]:
        transform = every_second_tap((i + before) % 2, taps)
        sees_one_before = len(transform.products) == 3
        return transform, transform.axis(2, (i + before) // 2 - sees_one_before)

    phases = []
    for i, j in np.ndindex(2, 2):
        (down, rows), (across, columns) = (
            phase_along(i, padding[0], K),
            phase_along(j, padding[2], L),
        )
        panels = winograd.pack(w, down, across, transposed=True)
        origin, row = (i * W + j) * C, W * C
        strides = TileStrides(origin, 2 * P * row, 4 * row, 4 * C, 2 * row, 2 * C)
        phases.append(Phase(rows, columns, panels, strides))
    dx = buffer_pool.empty((N, 2 * P, W, C), g.dtype)
    return winograd.forward(g, phases, None, dx, (P // 2, Q // 2))


def grad_w(
    x: np.ndarray, g: np.ndarray, kernel_size: tuple[int, int], padding: Padding
) -> np.ndarray:
    """Return dw (K, L, C, O), from x (N, H, W, C) and g (N, P, Q, O). kernel_size: (K, L)."""
    down, across = (STRIDE_2[taps] for taps in kernel_size)
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    return winograd.grad_w(x, g, down, across, 4, (-padding[0], -padding[2]))
