"""Convolution without copies of windows: which numbers the micro-kernel multiplies, and where.

forward   windows of x, times w
x's       at stride s, an input pixel (s u + i, s v + j) is seen by every s-th tap of w only: for
gradient  each (i, j) a convolution of g with those taps, mirrored, that gives one pixel of s x s
w's       windows of x again, as columns, times the pixels of g
gradient

With few inputs (or outputs), the gradient of x (or y) is one matrix product for all taps, added up
where the taps fall: `scatter`. A window that covers the picture makes a plain matrix product. At
stride 2 a third of the products and more are saved by `halving.py`, where there are many.
"""

from __future__ import annotations

import numpy as np

from .. import checks, mirror
from . import halving, memory, threads
from .correlation import correlate, correlate_grad_w, scatter
from .kept import packed
from .matrix import matmul
from .quads import each_of, panels_of
from .threads import WORTH
from .tiles import TILE

Pad = tuple[int, int, int, int]
PIXELS = 512  # of outputs, that a unit of work has at least, so that a panel is used again
SMALL = 1 << 17  # numbers of a gradient that each thread may have a copy of
ROOM = 1 << 18  # numbers in a unit's padded pictures at most: with a panel they fit the cache


def _outputs(
    size: tuple[int, int], window: tuple[int, int], stride: int, pad: Pad
) -> tuple[int, int]:
    """(P, Q): how many windows there are along either side."""
    (H, W), (K, L), (top, bottom, left, right) = size, window, pad
    return (top + H + bottom - K) // stride + 1, (left + W + right - L) // stride + 1


def _few(channels: int, x: np.ndarray) -> bool:
    """Whether a panel would be half empty."""
    return TILE.columns(x.dtype) >= 2 * channels


class _Unit:
    """What is worked on at a time: a band of one picture, or several pictures."""

    def __init__(
        self,
        x: np.ndarray,
        outputs: tuple[int, int],
        window: tuple[int, int],
        stride: int,
    ) -> None:
        (N, _, _, C), (P, Q) = x.shape, outputs
        width = (Q - 1) * stride + window[1]

        def numbers(rows: int) -> int:
            return ((rows - 1) * stride + window[0]) * width * C

        self.pictures, self.band, self.dtype = 1, min(P, -(-PIXELS // Q)), x.dtype
        while self.band > 1 and numbers(self.band) > ROOM:
            self.band = -(-self.band // 2)
        if self.band == P:
            self.pictures = max(1, min(PIXELS // (P * Q), ROOM // max(1, numbers(P))))
        self.count = -(-N // self.pictures) * -(-P // self.band)  # how many there are
        self.pixels = self.pictures * self.band * Q
        self.shape = self.pictures, (self.band - 1) * stride + window[0], width, C

    def rooms(self, parts: int) -> np.ndarray:
        """For each part, a place for what it sees of the pictures, with zeros around them."""
        return memory.empty((parts, *self.shape), self.dtype)


def _correlate(
    x: np.ndarray,
    panels: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    *,
    window: tuple[int, int],
    stride: int,
    corner: tuple[int, int],
    outputs: tuple[int, int],
    place: tuple[int, int, int, int],
) -> None:
    """`correlate`, split over threads."""
    unit, columns = _Unit(x, outputs, window, stride), y.shape[-1]
    jobs, work = unit.count * len(panels), unit.pixels * panels[0].size
    parts = threads.parts(jobs, grain=-(-WORTH // max(1, work)))
    threads.split(
        correlate, jobs, parts, x, unit.rooms(parts), panels, bias, window, stride,
        corner, outputs, y.reshape(-1), columns, place, unit.band,
    )  # fmt: skip


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: int, pad: Pad) -> np.ndarray:
    (N, H, W, C), (K, L, _, O), (top, _, left, _) = x.shape, w.shape, pad
    if w.shape[2] != C or (b is not None and b.shape != (O,)):  # addresses know no bounds
        raise ValueError(f"conv2d: x is {x.shape}, w {w.shape}, b {b if b is None else b.shape}")
    checks.one_type("conv2d", x, w, *([] if b is None else [b]))
    P, Q = _outputs((H, W), (K, L), stride, pad)
    if min(P, Q) < 0:
        raise ValueError(f"conv2d: a window {K}x{L} for padded pictures that are smaller")
    if not (x.size and w.size and P and Q):
        y = np.zeros((N, P, Q, O), x.dtype)
    elif _is_product(x, (K, L), pad):
        y = matmul(np.ascontiguousarray(x).reshape(N, -1), w.reshape(-1, O)).reshape(N, 1, 1, O)
    elif halving.pays((K, L), stride, N, (P, Q), (C, O)):
        return halving.forward(x, w, b, (P, Q), pad)
    elif _few(O, x) and mirror.pays(C, O, stride, pad, (K, L)):
        y = _scatter(x, mirror.window_of(w), (P, Q), 1, mirror.pad_of(pad, (K, L)))
    else:
        down, across = each_of(range(K), K), each_of(range(L), L)
        panels = packed(w, "conv2d", lambda w: panels_of(w, down, across))
        bias = np.zeros(O, x.dtype) if b is None else b.copy()
        y, place = memory.empty((N, P, Q, O), x.dtype), (0, P * Q * O, Q * O, O)
        _correlate(np.ascontiguousarray(x), panels, bias, y, window=(K, L), stride=stride,
                   corner=(-top, -left), outputs=(P, Q), place=place)  # fmt: skip
        return y
    if b is not None:
        y += b
    return y


def conv2d_grad_x(
    g: np.ndarray, w: np.ndarray, size: tuple[int, int], stride: int, pad: Pad
) -> np.ndarray:
    (N, P, Q, O), (K, L, C, _), (top, _, left, _), (H, W) = g.shape, w.shape, pad, size
    if w.shape[3] != O or _outputs((H, W), (K, L), stride, pad) != (P, Q):
        raise ValueError(f"conv2d_grad_x: g is {g.shape}, w {w.shape}, for pictures {size}")
    checks.one_type("conv2d_grad_x", g, w)
    if not (g.size and w.size and H and W):
        return np.zeros((N, H, W, C), g.dtype)
    if (P, Q) == (1, 1) and not any(pad) and size == (K, L):
        return matmul(g.reshape(N, O), w.reshape(-1, O).T).reshape(N, H, W, C)
    if _few(C, g):
        return _scatter(g, w, size, stride, pad)
    if halving.pays((K, L), stride, N, (P, Q), (C, O)) and size == (2 * P, 2 * Q):
        return halving.grad_x(g, w, pad)
    g, w = np.ascontiguousarray(g), np.ascontiguousarray(w)
    dx, bias = memory.empty((N, H, W, C), g.dtype), np.zeros(C, g.dtype)
    for i in range(min(stride, H)):
        for j in range(min(stride, W)):
            down = range((i + top) % stride, K, stride)
            across = range((j + left) % stride, L, stride)
            taps = len(down), len(across)
            if 0 in taps:
                dx[:, i::stride, j::stride] = 0
                continue
            panels = panels_of(w, each_of(down[::-1], K), each_of(across[::-1], L), turned=True)
            corner = (i + top) // stride - taps[0] + 1, (j + left) // stride - taps[1] + 1
            outputs = len(range(i, H, stride)), len(range(j, W, stride))
            place = (i * W + j) * C, H * W * C, stride * W * C, stride * C
            _correlate(g, panels, bias, dx, window=taps, stride=1, corner=corner, outputs=outputs,
                       place=place)  # fmt: skip
    return dx


def conv2d_grad_w(
    x: np.ndarray, g: np.ndarray, window: tuple[int, int], stride: int, pad: Pad
) -> np.ndarray:
    (N, P, Q, O), (K, L), C, (top, _, left, _) = g.shape, window, x.shape[3], pad
    if len(x) != N or _outputs(x.shape[1:3], window, stride, pad) != (P, Q):
        raise ValueError(f"conv2d_grad_w: x is {x.shape}, g {g.shape}, for windows {window}")
    checks.one_type("conv2d_grad_w", x, g)
    if not (x.size and g.size and K and L):
        return np.zeros((K, L, C, O), x.dtype)
    if _is_product(x, window, pad):
        flat = np.ascontiguousarray(x).reshape(N, -1)
        return matmul(flat.T, np.ascontiguousarray(g).reshape(N, O)).reshape(K, L, C, O)
    if halving.pays(window, stride, N, (P, Q), (C, O)):
        return halving.grad_w(x, g, window, pad)
    if _few(O, x) and mirror.pays(C, O, stride, pad, window):
        return mirror.window_of(conv2d_grad_w(g, x, window, 1, mirror.pad_of(pad, window)))
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    rows, unit = K * L * C, _Unit(x, (P, Q), window, stride)
    by_units = unit.count > 1 and rows * O <= SMALL
    if by_units:
        length, work = unit.count, unit.pixels * rows * O
    else:
        length, work = -(-rows // TILE.rows), N * P * Q * O * TILE.rows
    parts = threads.parts(length, grain=-(-WORTH // max(1, work)))
    dw = memory.empty((parts if by_units else 1, rows, O), x.dtype)
    wide = TILE.columns(x.dtype)
    panels = memory.empty((parts, -(-O // wide), unit.pixels, wide), x.dtype)
    threads.split(correlate_grad_w, length, parts, x, g, unit.rooms(parts), panels, window, stride,
                  (-top, -left), dw, unit.band, by_units)  # fmt: skip
    for more in dw[1:]:
        dw[0] += more
    return dw[0].reshape(K, L, C, O)


def _is_product(x: np.ndarray, window: tuple[int, int], pad: Pad) -> bool:
    """Whether there is one window, the whole picture."""
    return x.shape[1:3] == window and not any(pad)


# --- few channels ---------------------------------------------------------------------------------


def _scatter(
    g: np.ndarray, w: np.ndarray, size: tuple[int, int], stride: int, pad: Pad
) -> np.ndarray:
    """conv2d_grad_x for few channels: what all taps of a pixel send back is one matrix product."""
    (N, P, Q, O), (K, L, C, _), (top, _, left, _) = g.shape, w.shape, pad
    dx = memory.empty((N, size[0], size[1] * C), g.dtype)
    pixels = np.ascontiguousarray(g).reshape(N, P * Q, O)
    one = each_of(range(1), 1)
    panels = panels_of(memory.for_loop(w).reshape(1, 1, -1, O), one, one, turned=True)
    some = min(max(1, ROOM // (K * L * C)), P * Q)  # pixels at a time
    parts = threads.parts(N, grain=-(-WORTH // max(1, P * Q * O * K * L * C)))
    rooms = memory.empty((parts, some, K, L * C), g.dtype)
    threads.split(scatter, N, parts, pixels, panels, rooms, dx, C, (P, Q), stride, (-top, -left))
    return dx.reshape(N, *size, C)
