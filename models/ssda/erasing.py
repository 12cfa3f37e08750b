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

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

TENSION, TRUST = 1.0, 1.2  # the best on pictures held out of training
CERTAIN = 0.03  # pixels that are less surely written over stay as they are
TILE, MARGIN = 256, 24  # pixels to a side that are filled at a time, and around them
UNTOUCHED, TOUCHED = 0.1, 0.2  # how far text lies from what is under it: hardly, surely
HARDLY, SURELY = 0.1, 0.6  # how sure of text a network is before its own pixels are taken


def keep_untouched(written: np.ndarray, repaired: np.ndarray) -> np.ndarray:
    """The repaired picture (H, W, C) where it differs much from the one written over, which stays
    elsewhere: text is nowhere near what it hides, and an auto-encoder blurs what it leaves alone.
    """
    return _mix(written, repaired, _ramp(np.abs(repaired - written), UNTOUCHED, TOUCHED))


def uncover(written: np.ndarray, repaired: np.ndarray, text: np.ndarray) -> np.ndarray:
    """written (H, W, C), with the pixels of `repaired` where p (H, W) says that text is."""
    return _mix(written, repaired, _ramp(text, HARDLY, SURELY)[..., None])


def fill(written: np.ndarray, text: np.ndarray) -> np.ndarray:
    """x (H, W, C) and p (H, W) -> u (H, W, C), solved tile by tile; not clipped."""
    filled = written.copy()
    height, width = text.shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            rows = slice(max(0, top - MARGIN), top + TILE + MARGIN)
            columns = slice(max(0, left - MARGIN), left + TILE + MARGIN)
            tile = _solve(written[rows, columns], text[rows, columns])
            inner = tile[top - rows.start :, left - columns.start :][:TILE, :TILE]
            filled[top : top + TILE, left : left + TILE] = inner
    return filled


def _solve(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """`fill` of one tile."""
    height, width, channels = x.shape
    unknown = np.flatnonzero(p > CERTAIN)
    known = np.flatnonzero(p <= CERTAIN)
    u = x.reshape(-1, channels).astype(np.float64)
    if len(unknown) and p.min() < 1:  # else there is nothing to do, or nothing to go by
        laplacian = sparse.kronsum(_second_difference(width), _second_difference(height), "csr")
        plate = (laplacian @ laplacian - TENSION * laplacian)[unknown]
        doubt = p.reshape(-1)[unknown].astype(np.float64)
        trust = TRUST * ((1 - doubt) / doubt) ** 2
        right = trust[:, None] * u[unknown] - plate[:, known] @ u[known]
        left = plate[:, unknown] + sparse.diags(trust)
        u[unknown] = splu(left.tocsc(), permc_spec="MMD_AT_PLUS_A").solve(right)
    return u.reshape(x.shape).astype(x.dtype)


def _second_difference(n: int) -> sparse.spmatrix:
    """(n, n): what a second difference is, with both ends free: minus D'D of differences D."""
    difference = sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n))
    return -(difference.T @ difference)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high`."""
    return np.clip((value - low) / (high - low), 0, 1)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + share * (second - first)
