"""Convolution of a doubled picture: differences of pixels, and nine matrix products of them.

The algebra is in `minidl.kernels.doubling`; a and b are 0, 1, 2 in q = 3 a + b.

    forward      V[q] = x's differences, along the rows by a, along the columns by b

                 y (even, even) = V0 U0 + V1 U1 + V3 U3 + V4 U4       each product is computed
                 y (even, odd)  = V0 U0 + V2 U2 + V3 U3 + V5 U5       once, and what pixels share
                 y (odd, even)  = V0 U0 + V1 U1 + V6 U6 + V7 U7       is where the next products
                 y (odd, odd)   = V0 U0 + V2 U2 + V6 U6 + V8 U8       start from

    x's gradient the sum over q of Z[q] U[q]', with Z the differences of g: that of pixels may as
                 well be taken before the product of channels, and then the nine add up in registers
    U's gradient V[q]' G[q], with G[q] the sum of those pixels of g to which V[q] U[q] went

Units of work are rows of pixels whose transforms stay in a core's cache. A batch of 8 pictures of
32x32 pixels, 64 channels to 64, takes 6.2, 6.5 and 6.5 ms, where BLAS's products with a pass over
memory for each transform take 9.4, 9.9 and 11.4, and the products alone would take 4.2 each (Intel
Xeon with AVX-512, one thread). Two threads take 3.4, 3.6 and 3.9.
"""

from __future__ import annotations

import numpy as np

from .. import checks
from . import threads
from .doubled import forward, grad_u, grad_x
from .kept import packed
from .memory import empty
from .packing import pack_factors, pack_factors_transposed, windows_of_factors
from .threads import GRAIN, WORTH
from .tiles import TILE

PIXELS = 128  # of x, that a unit of work has at least, so that a panel is used again
ROOM = 1 << 17  # numbers in the transforms of a unit, if it has more pixels than that
SMALL = 1 << 17  # numbers of a gradient that each thread may have a copy of


def _panels(columns: int, dtype: np.dtype) -> tuple[int, int]:
    """How many panels so many columns take, and the columns of one."""
    wide = TILE.columns(dtype)
    return -(-columns // wide), wide


def _unit(rows: int, width: int, channels: int) -> int:
    """How many rows of pixels a unit of work has."""
    units = -(-rows * width // max(PIXELS, ROOM // (9 * channels)))
    return max(1, -(-rows // max(1, units)))


def upsample_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    (N, H, W, C), O = x.shape, w.shape[3]
    if w.shape != (3, 3, C, O) or b.shape != (O,):  # addresses know no bounds
        raise ValueError(f"upsample_conv2d: x is {x.shape}, w {w.shape}, b {b.shape}")
    checks.one_type("upsample_conv2d", x, w, b)
    rows, pixels = N * H, np.ascontiguousarray(x).reshape(N * H, W, C)
    (count, wide), unit = _panels(O, x.dtype), _unit(rows, W, C)

    def panels_of(w: np.ndarray) -> np.ndarray:
        panels = empty((9, count, C, wide), x.dtype)
        parts = threads.parts(C, grain=-(-GRAIN // (9 * O)))
        threads.split(pack_factors, C, parts, w.reshape(9, C, O), panels)
        return panels

    panels, bias = packed(w, "upsample_conv2d", panels_of), np.zeros(count * wide, x.dtype)
    bias[:O] = b
    y = empty((N, 2 * H, 2 * W, O), x.dtype)
    jobs = -(-rows // unit) * count
    parts = threads.parts(jobs, grain=-(-WORTH // (9 * unit * W * C * wide)))
    rooms = empty((parts, 9, unit, W, C), x.dtype)
    sums = empty((parts, 4, unit * W, count * wide), x.dtype)
    out = y.reshape(rows, 2, W, 2, O)
    threads.split(forward, jobs, parts, pixels, H, panels, bias, rooms, sums, out)
    return y


def upsample_conv2d_grad_x(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    N, H, W, (C, O) = g.shape[0], g.shape[1] // 2, g.shape[2] // 2, w.shape[2:]
    if w.shape[:2] != (3, 3) or g.shape != (N, 2 * H, 2 * W, O):
        raise ValueError(f"upsample_conv2d_grad_x: g is {g.shape}, w {w.shape}")
    checks.one_type("upsample_conv2d_grad_x", g, w)
    rows, pixels = N * H, np.ascontiguousarray(g).reshape(2 * N * H, 2 * W, O)
    (count, wide), unit = _panels(C, g.dtype), _unit(rows, W, O)
    panels, dx = empty((count, 9 * O, wide), g.dtype), empty((N, H, W, C), g.dtype)
    parts = threads.parts(count, grain=-(-GRAIN // (9 * O * wide)))
    windows = np.ascontiguousarray(w).reshape(9, C, O)
    threads.split(pack_factors_transposed, count, parts, windows, panels)
    jobs = -(-rows // unit) * count
    parts = threads.parts(jobs, grain=-(-WORTH // (9 * unit * W * O * wide)))
    rooms = empty((parts, 9, unit, W, O), g.dtype)
    threads.split(grad_x, jobs, parts, pixels, H, panels, rooms, dx.reshape(rows, W, C))
    return dx


def upsample_conv2d_grad_w(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    (N, H, W, C), O = x.shape, g.shape[3]
    if g.shape != (N, 2 * H, 2 * W, O):
        raise ValueError(f"upsample_conv2d_grad_w: x is {x.shape}, which does not give {g.shape}")
    checks.one_type("upsample_conv2d_grad_w", x, g)
    if not x.size:
        return np.zeros((3, 3, C, O), x.dtype)
    rows, pixels = N * H, np.ascontiguousarray(x).reshape(N * H, W, C)
    pairs, (count, wide) = np.ascontiguousarray(g).reshape(2 * rows, 2 * W, O), _panels(O, x.dtype)
    unit = _unit(rows, W, max(C, O))
    units, work = -(-rows // unit), 9 * W * C * O
    by_units = units > 1 and 9 * C * O <= SMALL
    if by_units:
        length, work = units, work * unit
    else:
        length = -(-C // TILE.rows)
        work = -(-work * rows // length)
    parts = threads.parts(length, grain=-(-WORTH // work))
    channels = C if by_units else -(-length // parts) * TILE.rows
    rooms = empty((parts, 9, unit, W, min(C, channels)), x.dtype)
    G = empty((parts, count, unit, W, 9, wide), x.dtype)
    dU = empty((parts if by_units else 1, 9, C, O), x.dtype)
    threads.split(grad_u, length, parts, pixels, pairs, H, rooms, G, dU, by_units)
    for more in dU[1:]:
        dU[0] += more
    dw = empty((3, 3, C, O), x.dtype)
    parts = threads.parts(C, grain=-(-GRAIN // (9 * O)))
    threads.split(windows_of_factors, C, parts, dU[0], dw.reshape(9, C, O))
    return dw
