"""Nearest neighbours of pictures with holes, by learned features and by HOG.

As in the paper's section 4, the hole is hidden from the features, and then filled with the pixels
of the neighbour. HOG counts the directions of edges (Dalal & Triggs 2005).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from skimage.feature import hog

from minidl.models.context_encoder import training
from minidl.models.context_encoder.masks import MEAN_COLOUR
from minidl.models.images.files import write
from minidl.models.images.samples import grey

from ..report.cache import ResultCache
from ..report.page import Block, Figure, Text
from .plan import FOLDERS, SIZE, Photographs, Plan, Weights, features

CELL_SIDE = 16  # pixels of a HOG cell
NEIGHBOURS = 4
SHOWN_PICTURES = 6  # of the figure
OURS = "fill-centre-128"


def hog_features(plan: Plan, pictures: Photographs) -> np.ndarray:
    """Return histograms of 9 directions in the cells outside the hole, (N, F), of length 1."""
    masks, _ = plan.masks(1, plan.holes)
    cells = SIZE // CELL_SIDE
    known = ~masks[0].reshape(cells, CELL_SIDE, cells, CELL_SIDE).any(axis=(1, 3))
    found = []
    for picture in pictures.clean:
        counts = hog(
            np.where(masks[0], 0.5, grey(picture)[..., 0]),
            orientations=9,
            pixels_per_cell=(CELL_SIDE, CELL_SIDE),
            cells_per_block=(1, 1),
            feature_vector=False,
        )
        found.append(counts.reshape(cells, cells, 9)[known].ravel())
    return _unit(np.array(found, np.float32))


def our_features(plan: Plan, pictures: Photographs) -> np.ndarray:
    """Return the context encoder's bottleneck, (N, F), of length 1."""
    inpainter = Weights.load(OURS, plan.device).inpainter
    return _unit(features(inpainter, pictures.pixels, hidden=True))


def _unit(x: np.ndarray) -> np.ndarray:
    """Return the rows of x, scaled to length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


FEATURES: dict[str, Callable[[Plan, Photographs], np.ndarray]] = {
    "HOG": hog_features,
    "our features": our_features,
}


def nearest(plan: Plan, cache: ResultCache, name: str) -> dict[str, list[int]]:
    """Return {test picture: its nearest training pictures, the nearest first}, cached."""
    describe, known, test = FEATURES[name], plan.training, plan.test
    settings: Mapping[str, Any] = {"train": known.check, "test": test.check}
    if name == "our features":
        settings = {**settings, **Weights.load(OURS, plan.device).settings()}

    def work() -> dict[str, list[int]]:
        keys, queries = describe(plan, known), describe(plan, test)
        order = np.argsort(-(queries @ keys.T), axis=1)[:, :NEIGHBOURS]
        return {n: [int(i) for i in row] for n, row in zip(test.names, order, strict=True)}

    found: dict[str, list[int]] = cache.get_one(f"nearest-{name.replace(' ', '-')}", settings, work)
    return found


def neighbours(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return test pictures with a hole, and below each its nearest training pictures."""
    which = np.linspace(0, len(plan.test) - 1, SHOWN_PICTURES).astype(int)
    masks, _ = plan.masks(SHOWN_PICTURES, plan.holes)
    damaged = np.where(masks[..., None], MEAN_COLOUR, plan.test.clean[which])
    pictures = []
    for name in FEATURES:
        found = nearest(plan, cache, name)
        chosen = np.array([found[plan.test.names[i]] for i in which])
        rows = [damaged, *(plan.training.clean[column] for column in chosen.T)]
        path = cache.pictures / f"neighbours-{name.replace(' ', '-')}.png"
        write(path, training.grid(rows))
        pictures.append((path, name))
    return [
        Text(
            f"First row: photographs with a hole. Below each its {NEIGHBOURS} nearest among "
            f"{len(plan.training)} training photographs, whose middle was hidden too. HOG sees "
            "edges alone; the context encoder's features were learned without any label."
        ),
        Figure(pictures, "Nearest neighbours of the context.", across=2, owner=FOLDERS),
    ]
