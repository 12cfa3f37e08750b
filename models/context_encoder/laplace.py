"""Laplace's equation in a hole: each pixel is the mean of its four neighbours.

The solution is a smooth surface, like a membrane stretched over the hole from its border.
`multigrid` is fast and approximate, for the many squares of a training; `solve` is exact, for one
picture.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from minidl.device import Array

SWEEPS = 4  # Jacobi sweeps at each scale


def multigrid(pixels: Array, masks: Array) -> Array:
    """pixels (N, S, S, C) -> the same, with a smooth surface where the masks (N, S, S) are True.

    From coarse to fine: the solution at half the size, averaged over known pixels alone, is the
    start; a few Jacobi sweeps smooth what it leaves. Works where the arrays are.
    """
    side, known = pixels.shape[1], (~masks)[..., None].astype(pixels.dtype)
    if side % 2:
        mean = _divide((pixels * known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))
        return np.where(masks[..., None], mean[:, None, None], pixels)
    count = _halve(known)
    coarse = multigrid(_divide(_halve(pixels * known), count), count[..., 0] == 0)
    surface = np.where(masks[..., None], coarse.repeat(2, axis=1).repeat(2, axis=2), pixels)
    for _ in range(SWEEPS):
        around = np.pad(surface, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        mean = around[:, :-2, 1:-1] + around[:, 2:, 1:-1]
        mean += around[:, 1:-1, :-2]
        mean += around[:, 1:-1, 2:]
        surface = np.where(masks[..., None], mean / 4, pixels)
    return surface


def _halve(x: Array) -> Array:
    """(N, S, S, C) -> (N, S / 2, S / 2, C): sums over 2x2 pixels."""
    n, side, _, channels = x.shape
    return x.reshape(n, side // 2, 2, side // 2, 2, channels).sum(axis=(2, 4))


def _divide(total: Array, count: Array) -> Array:
    """Return total / count, and 0 where the count is 0."""
    return total / np.maximum(count, 1)


def solve(values: np.ndarray, hole: np.ndarray, known: np.ndarray) -> np.ndarray:
    """values (H, W, C) -> the same, with the solution in the hole (H, W).

    A pixel of the hole is the mean of those neighbours that are in the hole or known (H, W).
    """
    count = int(hole.sum())
    number = np.full((hole.shape[0] + 2, hole.shape[1] + 2), -1)  # of each pixel of the hole
    number[1:-1, 1:-1][hole] = np.arange(count)
    known, inside = np.pad(known, 1), number >= 0
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    diagonal, right_side = np.full(count, 1e-9), np.zeros((count, values.shape[-1]))
    pairs = []  # (pixel, neighbour), both in the hole
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        neighbour = np.roll(number, step, axis)[inside]
        border = np.roll(known, step, axis)[inside]
        unknown = np.flatnonzero(neighbour >= 0)
        pairs.append((unknown, neighbour[unknown]))
        diagonal[unknown] += 1
        diagonal[border] += 1
        right_side[border] += np.roll(padded, step, axis)[inside][border]
    rows, columns = (np.concatenate(indices) for indices in zip(*pairs, strict=True))
    laplacian = sparse.csc_matrix((-np.ones(len(rows)), (rows, columns)), (count, count))
    result = values.copy()
    result[hole] = splu(laplacian + sparse.diags(diagonal, format="csc")).solve(right_side)
    return result
