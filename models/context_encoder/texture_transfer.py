"""Fine texture for a filling, from the most similar known patches of its surroundings.

A network that minimises a mean error predicts the average of what is likely: the coarse part is
right, the fine part is missing. Each patch of the hole takes its fine part from the known patch
whose coarse part is most similar. This is attention over the context with all weight on the best
match (Yu et al. 2018; Yang et al. 2017 do the same on features), on pixels and after the training.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# In pixels of the network's input:
PATCH_SIDE = 12
COARSE_SIGMA = 1.5  # of the Gaussian that separates coarse from fine
SAMPLES_PER_SIDE = 6  # pixels of a coarse patch that are compared, along each side


def transfer_texture(
    picture: np.ndarray, hole: np.ndarray, known: np.ndarray, *, scale: float = 1.0
) -> np.ndarray:
    """picture (H, W, 3) in [0, 1] with a smooth filling in its hole (H, W) -> the same, with fine
    texture there. Other pixels do not change.

    known (H, W): pixels from which patches may be taken. scale: the picture's pixels per pixel of
    the network. Returns the picture unchanged if no patch is completely known.
    """
    side = max(4, 2 * round(PATCH_SIDE * scale / 2))
    coarse = ndimage.gaussian_filter(picture, (COARSE_SIGMA * scale, COARSE_SIGMA * scale, 0))
    fine = picture - coarse
    sources = _corners(_all(known, side), max(1, side // 6))
    targets = _corners(_any(hole, side), side // 2)
    if not len(sources) or not len(targets):
        return picture.copy()
    best = _nearest(_samples(coarse, targets, side), _samples(coarse, sources, side))

    window = np.hanning(side + 2)[1:-1]
    window = np.sqrt(window[:, None] * window[None, :])[..., None]
    added, weight = np.zeros_like(fine), np.zeros((*hole.shape, 1))
    for (top, left), (y, x) in zip(targets, sources[best], strict=True):
        patch = slice(top, top + side), slice(left, left + side)
        added[patch] += window * fine[y : y + side, x : x + side]
        weight[patch] += window * window
    # Overlapping patches are independent, so their variances add: this keeps the contrast.
    added /= np.sqrt(np.maximum(weight, 1e-6))
    return np.where(hole[..., None], np.clip(coarse + added, 0, 1), picture).astype(picture.dtype)


def _all(mask: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (H - side + 1, W - side + 1): True if all of the patch at this corner is True."""
    return _count(mask, side) == side * side


def _any(mask: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (H - side + 1, W - side + 1): True if any of the patch at this corner is True."""
    return _count(mask, side) > 0


def _count(mask: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (H - side + 1, W - side + 1): the number of True pixels in the patch."""
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def _corners(allowed: np.ndarray, step: int) -> np.ndarray:
    """Return every `step`-th corner that is allowed, (n, 2)."""
    return step * np.argwhere(allowed[::step, ::step])


def _samples(coarse: np.ndarray, corners: np.ndarray, side: int) -> np.ndarray:
    """Return the coarse patches at corners (n, 2), sampled: (n, SAMPLES_PER_SIDE^2 C) float32."""
    at = np.linspace(0, side - 1, SAMPLES_PER_SIDE).round().astype(int)
    rows, columns = corners[:, 0, None] + at, corners[:, 1, None] + at
    patches = coarse[rows[:, :, None], columns[:, None, :]]
    return patches.reshape(len(corners), -1).astype(np.float32)


def _nearest(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the index of the nearest key (m, F) for each query (n, F)."""
    return (np.square(keys).sum(axis=1) - 2 * queries @ keys.T).argmin(axis=1)
