"""Fine texture for a filling, from the most similar valid patches of its surroundings.

A network that minimises a mean error fills in what is likely on average: the coarse part is right,
the fine part is missing. Every place of the hole is given the fine part of the known patch whose
coarse part is most like its own: attention over the context with all weight on the best match (Yu
et al. 2018; Yang et al. 2017 do the same on features), used on pixels and after the training.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

PATCH = 12  # pixels of a patch's side, where a pixel of the picture is one of the network's
COARSE = 1.5  # deviation in the same pixels of the Gaussian that splits coarse from fine
SAMPLES = 6  # per side: how finely coarse patches are compared


def textured(
    picture: np.ndarray, hole: np.ndarray, known: np.ndarray, *, scale: float = 1.0
) -> np.ndarray:
    """picture (H, W, 3) in [0, 1] with a smooth filling in its hole (H, W) -> the same, with fine
    texture there. Other pixels stay as they are.

    known (H, W): where patches may be taken from. scale: how many pixels make one of the network's.
    Where no patch is wholly known, the picture comes back as it is.
    """
    side = max(4, 2 * round(PATCH * scale / 2))
    coarse = ndimage.gaussian_filter(picture, (COARSE * scale, COARSE * scale, 0))
    fine = picture - coarse
    sources = _corners(_all(known, side), max(1, side // 6))
    targets = _corners(_any(hole, side), side // 2)
    if not len(sources) or not len(targets):
        return picture.copy()
    best = _nearest(_described(coarse, targets, side), _described(coarse, sources, side))

    window = np.hanning(side + 2)[1:-1]
    window = np.sqrt(window[:, None] * window[None, :])[..., None]
    added, weight = np.zeros_like(fine), np.zeros((*hole.shape, 1))
    for (top, left), (y, x) in zip(targets, sources[best], strict=True):
        place = slice(top, top + side), slice(left, left + side)
        added[place] += window * fine[y : y + side, x : x + side]
        weight[place] += window * window
    # Overlapping patches are strangers to each other: so weighted, they keep their strength.
    added /= np.sqrt(np.maximum(weight, 1e-6))
    return np.where(hole[..., None], np.clip(coarse + added, 0, 1), picture).astype(picture.dtype)


def _all(mask: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (H - side + 1, W - side + 1): whether the patch with this corner is wholly True."""
    return _count(mask, side) == side * side


def _any(mask: np.ndarray, side: int) -> np.ndarray:
    """The same: whether some of the patch is True."""
    return _count(mask, side) > 0


def _count(mask: np.ndarray, side: int) -> np.ndarray:
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def _corners(allowed: np.ndarray, step: int) -> np.ndarray:
    """Every `step`-th corner that is allowed, (n, 2)."""
    return step * np.argwhere(allowed[::step, ::step])


def _described(coarse: np.ndarray, corners: np.ndarray, side: int) -> np.ndarray:
    """The coarse patches at corners (n, 2) -> (n, SAMPLES^2 channels) float32."""
    at = np.linspace(0, side - 1, SAMPLES).round().astype(int)
    rows, columns = corners[:, 0, None] + at, corners[:, 1, None] + at
    patches = coarse[rows[:, :, None], columns[:, None, :]]
    return patches.reshape(len(corners), -1).astype(np.float32)


def _nearest(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return for each query (n, F) the index of the nearest key (m, F)."""
    return (np.square(keys).sum(axis=1) - 2 * queries @ keys.T).argmin(axis=1)
