"""Text taken off a picture, once a network has said where it is, or what is under it.

    x   the picture that is written over, u the one without text, (H, W, C)
    p   how surely text lies on each pixel, (H, W) in [0, 1]

A network that is not sure should not have to decide: what it doubts is kept as far as it goes
smoothly on from the pixels around it. u is what makes

    sum |D u|^2 + TENSION sum |grad u|^2 + TRUST sum ((1 - p) / p)^2 |u - x|^2

least, with D the Laplacian of five points; where p is tiny, u = x. The first two sums alone are the
bending and the stretching of a thin plate, which goes on from a mask's rim smoothly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

TENSION, TRUST = 1.0, 1.2  # the best on pictures held out of training
CERTAIN = 0.03  # pixels that are less surely written over stay as they are
TILE, MARGIN = 256, 24  # pixels to a side that are filled at a time, and around them
UNTOUCHED, TOUCHED = 0.1, 0.2  # how far text lies from what is under it: hardly, surely
HARDLY, SURELY = 0.1, 0.6  # how sure of text a network is before its own pixels are taken

# Of a positive definite matrix. It needs no pivots, and the search for them destroys the order that
# keeps the factors sparse: with it a speckled tile takes minutes and gigabytes.
_factors = functools.partial(
    splu, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
)

Progress = Callable[[int, int], None]  # called with how much is (done, in total)


def keep_untouched(written: np.ndarray, repaired: np.ndarray) -> np.ndarray:
    """The repaired picture (H, W, C) where it differs much from the one written over, which stays
    elsewhere: text is nowhere near what it hides, and an auto-encoder blurs what it leaves alone.
    """
    return _mix(written, repaired, _ramp(np.abs(repaired - written), UNTOUCHED, TOUCHED))


def uncover(written: np.ndarray, repaired: np.ndarray, text: np.ndarray) -> np.ndarray:
    """written (H, W, C), with the pixels of `repaired` where p (H, W) says that text is."""
    return _mix(written, repaired, _ramp(text, HARDLY, SURELY)[..., None])


def fill(written: np.ndarray, text: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """x (H, W, C) and p (H, W) -> u (H, W, C), solved tile by tile; not clipped.

    The time and memory of a tile are bounded: at most about 5 seconds and 250 MB, where no pixel of
    it is certain. progress: called with tiles (done, total).
    """
    filled = written.copy()
    height, width = text.shape
    corners = [(top, left) for top in range(0, height, TILE) for left in range(0, width, TILE)]
    for done, (top, left) in enumerate(corners, start=1):
        rows = slice(max(0, top - MARGIN), top + TILE + MARGIN)
        columns = slice(max(0, left - MARGIN), left + TILE + MARGIN)
        tile = _solve(written[rows, columns], text[rows, columns])
        inner = tile[top - rows.start :, left - columns.start :][:TILE, :TILE]
        filled[top : top + TILE, left : left + TILE] = inner
        if progress:
            progress(done, len(corners))
    return filled


def _solve(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """`fill` of one tile."""
    u = x.reshape(-1, x.shape[2]).astype(np.float64)
    unknown = np.flatnonzero(p > CERTAIN)
    if len(unknown) and p.min() < 1:  # else there is nothing to do, or nothing to go by
        left, right = _equations(u, p, unknown)
        u[unknown] = _factors(left).solve(right)
    return u.reshape(x.shape).astype(x.dtype)


def _equations(
    x: np.ndarray, p: np.ndarray, unknown: np.ndarray
) -> tuple[sparse.csc_matrix, np.ndarray]:
    """The matrix and the right sides (unknown, C) that u solves, of x (H W, C) and p (H, W)."""
    height, width = p.shape
    known = np.flatnonzero(p <= CERTAIN)
    laplacian = sparse.kronsum(_second_difference(width), _second_difference(height), "csr")
    plate = (laplacian @ laplacian - TENSION * laplacian)[unknown]
    doubt = p.reshape(-1)[unknown].astype(np.float64)
    trust = TRUST * ((1 - doubt) / doubt) ** 2
    right = trust[:, None] * x[unknown] - plate[:, known] @ x[known]
    return (plate[:, unknown] + sparse.diags(trust)).tocsc(), right


def _second_difference(n: int) -> sparse.spmatrix:
    """(n, n): what a second difference is, with both ends free: minus D'D of differences D."""
    difference = sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n))
    return -(difference.T @ difference)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high`."""
    return np.clip((value - low) / (high - low), 0, 1)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + share * (second - first)
