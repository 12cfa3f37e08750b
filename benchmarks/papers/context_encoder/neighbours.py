"""Nearest neighbours of pictures with holes: what a learned feature takes for alike.

As in the paper's section 4, the hole is hidden from the features, and then filled with what the
neighbour has there. HOG counts the directions of edges (Dalal & Triggs 2005).
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

from ..report.cache import Parts
from ..report.page import Block, Figure, Text
from .plan import FOLDERS, SIZE, Photographs, Plan, Weights, features

CELL = 16  # pixels of a HOG cell
KEPT = 4  # neighbours
SHOWN = 6  # pictures of the figure
OURS = "fill-centre-128"


def hog_features(plan: Plan, pictures: Photographs) -> np.ndarray:
    """Histograms of 9 directions in the cells that the hole does not touch, (N, F), of length 1."""
    masks, _ = plan.masks(1, plan.holes)
    cells = SIZE // CELL
    known = ~masks[0].reshape(cells, CELL, cells, CELL).any(axis=(1, 3))
    found = []
    for picture in pictures.clean:
        counts = hog(
            np.where(masks[0], 0.5, grey(picture)[..., 0]),
            orientations=9,
            pixels_per_cell=(CELL, CELL),
            cells_per_block=(1, 1),
            feature_vector=False,
        )
        found.append(counts.reshape(cells, cells, 9)[known].ravel())
    return _unit(np.array(found, np.float32))


def our_features(plan: Plan, pictures: Photographs) -> np.ndarray:
    """The context encoder's bottleneck, (N, F), of length 1."""
    filler = Weights.load(OURS, plan.place).filler
    return _unit(features(filler, pictures.pixels, hidden=True))


def _unit(x: np.ndarray) -> np.ndarray:
    """Each of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


FEATURES: dict[str, Callable[[Plan, Photographs], np.ndarray]] = {
    "HOG": hog_features,
    "our features": our_features,
}


def nearest(plan: Plan, parts: Parts, name: str) -> dict[str, list[int]]:
    """{test picture: its nearest training pictures, the nearest first}, a part."""
    describe, known, test = FEATURES[name], plan.known, plan.test
    settings: Mapping[str, Any] = {"train": known.check, "test": test.check}
    if name == "our features":
        settings = {**settings, **Weights.load(OURS, plan.place).settings()}

    def work() -> dict[str, list[int]]:
        keys, queries = describe(plan, known), describe(plan, test)
        order = np.argsort(-(queries @ keys.T), axis=1)[:, :KEPT]
        return {n: [int(i) for i in row] for n, row in zip(test.names, order, strict=True)}

    found: dict[str, list[int]] = parts.one(f"nearest-{name.replace(' ', '-')}", settings, work)
    return found


def neighbours(plan: Plan, parts: Parts) -> list[Block]:
    """Show test pictures with a hole, and beside each its nearest training pictures."""
    some = np.linspace(0, len(plan.test) - 1, SHOWN).astype(int)
    masks, _ = plan.masks(SHOWN, plan.holes)
    damaged = np.where(masks[..., None], MEAN_COLOUR, plan.test.clean[some])
    pictures = []
    for name in FEATURES:
        found = nearest(plan, parts, name)
        chosen = np.array([found[plan.test.names[i]] for i in some])
        rows = [damaged, *(plan.known.clean[column] for column in chosen.T)]
        path = parts.pictures / f"neighbours-{name.replace(' ', '-')}.png"
        write(path, training.grid(rows))
        pictures.append((path, name))
    return [
        Text(
            f"First row: photographs with a hole. Below each its {KEPT} nearest among "
            f"{len(plan.known)} training photographs, whose middle was hidden too. HOG sees "
            "edges alone; the context encoder's features were learned without any label."
        ),
        Figure(pictures, "Nearest neighbours of the context.", across=2, of=FOLDERS),
    ]
