"""Text removed from a picture, after a network has found it or repaired it.

    x   the picture with text, u the picture without, (H, W, C)
    p   the probability of text on each pixel, (H, W) in [0, 1]

A doubtful pixel is kept as far as it continues its surroundings smoothly: u minimises

    sum |D u|^2 + TENSION sum |grad u|^2 + FIDELITY sum ((1 - p) / p)^2 |u - x|^2

with D the Laplacian of five points; where p is tiny, u = x. The first two sums are the bending and
the stretching of a thin plate, which continues smoothly from the border of a hole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

TENSION, FIDELITY = 1.0, 1.2  # the best on pictures held out of training
MIN_PROBABILITY = 0.03  # pixels with a lower probability of text do not change
TILE_SIDE, TILE_MARGIN = 256, 24  # pixels: of a tile that is solved at a time, and around it
CHANGE_LOW, CHANGE_HIGH = 0.1, 0.2  # of a pixel by the network: kept up to here, taken from here
PROBABILITY_LOW, PROBABILITY_HIGH = 0.1, 0.6  # of text: kept up to here, taken from here

# Factors of a positive definite matrix. It needs no pivots, and the search for them destroys the
# order that keeps the factors sparse: with it a speckled tile takes minutes and gigabytes.
_factorize = functools.partial(
    splu, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
)

Progress = Callable[[int, int], None]  # called with (done, total)


def keep_unchanged_pixels(written: np.ndarray, repaired: np.ndarray) -> np.ndarray:
    """Return the repaired picture (H, W, C) where it differs much from the written one, which is
    kept elsewhere.

    Text differs strongly from the pixels under it, and an auto-encoder blurs all others.
    """
    return _mix(written, repaired, _ramp(np.abs(repaired - written), CHANGE_LOW, CHANGE_HIGH))


def blend_by_probability(written: np.ndarray, repaired: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Return written (H, W, C) with repaired pixels where text is probable, by p (H, W)."""
    return _mix(written, repaired, _ramp(text, PROBABILITY_LOW, PROBABILITY_HIGH)[..., None])


def inpaint(written: np.ndarray, text: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """x (H, W, C) and p (H, W) -> u (H, W, C), solved tile by tile; not clipped.

    A tile takes at most about 5 seconds and 250 MB: that is one whose pixels are all doubtful.
    progress: called with tiles (done, total).
    """
    filled = written.copy()
    height, width = text.shape
    corners = [
        (top, left) for top in range(0, height, TILE_SIDE) for left in range(0, width, TILE_SIDE)
    ]
    for done, (top, left) in enumerate(corners, start=1):
        rows = slice(max(0, top - TILE_MARGIN), top + TILE_SIDE + TILE_MARGIN)
        columns = slice(max(0, left - TILE_MARGIN), left + TILE_SIDE + TILE_MARGIN)
        tile = _solve(written[rows, columns], text[rows, columns])
        inner = tile[top - rows.start :, left - columns.start :][:TILE_SIDE, :TILE_SIDE]
        filled[top : top + TILE_SIDE, left : left + TILE_SIDE] = inner
        if progress:
            progress(done, len(corners))
    return filled


def _solve(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return u for one tile."""
    u = x.reshape(-1, x.shape[2]).astype(np.float64)
    unknown = np.flatnonzero(p > MIN_PROBABILITY)
    if len(unknown) and p.min() < 1:  # else nothing is to be solved, or nothing is known
        left, right = _equations(u, p, unknown)
        u[unknown] = _factorize(left).solve(right)
    return u.reshape(x.shape).astype(x.dtype)


def _equations(
    x: np.ndarray, p: np.ndarray, unknown: np.ndarray
) -> tuple[sparse.csc_matrix, np.ndarray]:
    """Return the matrix and the right sides (unknown, C) that u solves, of x (H W, C), p (H, W)."""
    height, width = p.shape
    known = np.flatnonzero(p <= MIN_PROBABILITY)
    laplacian = sparse.kronsum(_second_difference(width), _second_difference(height), "csr")
    plate = (laplacian @ laplacian - TENSION * laplacian)[unknown]
    probability = p.reshape(-1)[unknown].astype(np.float64)
    fidelity = FIDELITY * ((1 - probability) / probability) ** 2
    right = fidelity[:, None] * x[unknown] - plate[:, known] @ x[known]
    return (plate[:, unknown] + sparse.diags(fidelity)).tocsc(), right


def _second_difference(n: int) -> sparse.spmatrix:
    """Return the matrix (n, n) of second differences with free ends: -D'D of differences D."""
    difference = sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n))
    return -(difference.T @ difference)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 up to `low`, 1 from `high`, and values in between on a line."""
    return np.clip((value - low) / (high - low), 0, 1)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the mean of both, with `share` of the second."""
    return first + share * (second - first)
