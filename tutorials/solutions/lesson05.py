"""Solutions of lesson 5."""

from __future__ import annotations

from typing import Any

import numpy as np


def write_over(clean: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The coverage is the same for all channels."""
    a = coverage[..., None]
    return (1 - a) * clean + a * colour


def diffuse(picture: np.ndarray, mask: np.ndarray, steps: int) -> np.ndarray:
    """Divide sums of neighbours by their number, with zeros around both."""
    u, there = picture.astype(np.float64), np.pad(np.ones(picture.shape), 1)
    for _ in range(steps):
        u = np.where(mask, _around(np.pad(u, 1)) / _around(there), u)
    return u


def _around(p: np.ndarray) -> np.ndarray:
    return p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]


def found_and_missed(found: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Divide the same hits by two different numbers."""
    hits = float((found & mask).sum())
    precision = hits / float(found.sum()) if found.any() else 1.0
    recall = hits / float(mask.sum()) if mask.any() else 1.0
    return precision, recall


def _black_around(picture: np.ndarray, mask: np.ndarray, steps: int) -> np.ndarray:
    u = picture.astype(np.float64)
    for _ in range(steps):
        u = np.where(mask, _around(np.pad(u, 1)) / 4, u)
    return u


def _one_after_another(picture: np.ndarray, mask: np.ndarray, steps: int) -> np.ndarray:
    u = picture.astype(np.float64)
    for _ in range(steps):
        for i, j in np.argwhere(mask):  # the second already sees the new first
            around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            inside = [at for at in around if 0 <= at[0] < len(u) and 0 <= at[1] < u.shape[1]]
            u[i, j] = np.mean([u[at] for at in inside])
    return u


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "write_over": [
        lambda clean, coverage, colour: clean + coverage[..., None] * colour,
        lambda clean, coverage, colour: np.where(coverage[..., None] > 0, colour, clean),
    ],
    "diffuse": [_black_around, _one_after_another],
    "found_and_missed": [
        lambda found, mask: found_and_missed(mask, found),
        lambda found, mask: (float((found == mask).mean()),) * 2,
    ],
}
