"""A hole bridged by a stretched skin: Laplace's equation, by which each pixel is the mean of its
neighbours above, below, left and right.

`bridged` is quick and near, for the many squares that a network sees; `skin` is exact, for one.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from minidl.device import Array

SWEEPS = 4  # at each scale


def bridged(pixels: Array, masks: Array) -> Array:
    """pixels (N, S, S, C) -> the same, bridged where the masks (N, S, S) are True.

    From coarse to fine: a picture of half the size, of which only the known pixels count, tells
    where to begin, and a few sweeps of means over neighbours smooth what that leaves. Works where
    the arrays are.
    """
    side, known = pixels.shape[1], (~masks)[..., None].astype(pixels.dtype)
    if side % 2:
        mean = _share((pixels * known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))
        return np.where(masks[..., None], mean[:, None, None], pixels)
    count = _halved(known)
    coarse = bridged(_share(_halved(pixels * known), count), count[..., 0] == 0)
    bridge = np.where(masks[..., None], coarse.repeat(2, axis=1).repeat(2, axis=2), pixels)
    for _ in range(SWEEPS):
        around = np.pad(bridge, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        mean = around[:, :-2, 1:-1] + around[:, 2:, 1:-1]
        mean += around[:, 1:-1, :-2]
        mean += around[:, 1:-1, 2:]
        bridge = np.where(masks[..., None], mean / 4, pixels)
    return bridge


def _halved(x: Array) -> Array:
    """(N, S, S, C) -> (N, S / 2, S / 2, C): the sums of squares of four."""
    n, side, _, channels = x.shape
    return x.reshape(n, side // 2, 2, side // 2, 2, channels).sum(axis=(2, 4))


def _share(total: Array, count: Array) -> Array:
    """total / count, 0 where nothing is counted."""
    return total / np.maximum(count, 1)


def skin(values: np.ndarray, hole: np.ndarray, known: np.ndarray) -> np.ndarray:
    """values (H, W, C), in the hole (H, W) replaced by the mean of their neighbours above, below,
    left and right, of those that are in the hole or known (H, W): Laplace's equation."""
    count = int(hole.sum())
    number = np.full((hole.shape[0] + 2, hole.shape[1] + 2), -1)
    number[1:-1, 1:-1][hole] = np.arange(count)
    edge, inside = np.pad(known, 1), number >= 0
    around = np.pad(values, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    diagonal, right = np.full(count, 1e-9), np.zeros((count, values.shape[-1]))
    pairs = []
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        other, given = np.roll(number, step, axis)[inside], np.roll(edge, step, axis)[inside]
        here = np.flatnonzero(other >= 0)
        pairs.append((here, other[here]))
        diagonal[here] += 1
        diagonal[given] += 1
        right[given] += np.roll(around, step, axis)[inside][given]
    rows, columns = (np.concatenate(some) for some in zip(*pairs, strict=True))
    laplace = sparse.csc_matrix((-np.ones(len(rows)), (rows, columns)), (count, count))
    result = values.copy()
    result[hole] = splu(laplace + sparse.diags(diagonal, format="csc")).solve(right)
    return result
