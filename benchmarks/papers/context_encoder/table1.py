"""Table 1 of paper 2: a square hole, filled by all methods from a mean colour on."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.models.context_encoder.scores import MAX_PICTURES, METHODS, picture_scores
from minidl.models.context_encoder.texture_transfer import transfer_texture
from minidl.models.images.files import subsample
from minidl.models.zoo import NoWeightsError

from ..data import MissingError
from ..report.cache import ResultCache
from ..report.page import Block, Row, Table, Text
from .neighbours import FEATURES, nearest
from .plan import Photographs, Plan, Weights

ADVERSARIAL, PLAIN, REGION = "fill-centre-128", "fill-centre-128-smooth", "fill-region-128"
CLASSICAL = ("membrane", "Telea", "Navier-Stokes", "biharmonic", "mean colour")
COLUMNS = ("l1", "l2", "psnr", "whole", "ssim")
BEST = {"l1": min, "l2": min, "psnr": max, "whole": max, "ssim": max}

# L1 and L2 in percent, PSNR in dB over the hole: Pathak et al., table 1, Paris StreetView.
QUOTED = {
    "nearest neighbour, HOG (CVPR 2016)": ("19.92", "6.92", "12.79"),
    "nearest neighbour, their features (CVPR 2016)": ("15.10", "4.30", "14.70"),
    "context encoder (CVPR 2016 print)": ("10.33", "2.35", "17.59"),
    "context encoder (arXiv version 2)": ("9.37", "1.96", "18.58"),
}

# pictures (N, H, W, 3) uint8, masks, corners -> filled, float32 in [0, 1]
FillAll = Callable[[Photographs, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A row: its function, what its results depend on, and its greatest number of pictures."""

    fill: FillAll
    settings: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None


def methods(plan: Plan, cache: ResultCache) -> tuple[dict[str, Method], list[str]]:
    """Return the rows by name, and the reasons why others are missing."""
    rows: dict[str, Method] = {}
    missing: list[str] = []
    for name in FEATURES:
        try:
            known = plan.training
            found = nearest(plan, cache, name)
        except (MissingError, NoWeightsError) as reason:
            missing.append(f"nearest neighbour, {name}: {reason}")
            continue
        rows[f"nearest neighbour, {name}"] = Method(_copied(known, found), {"train": known.check})
    for name in CLASSICAL:
        if name in METHODS:
            rows[name] = Method(_each(name), limit=MAX_PICTURES.get(name))
        else:
            missing.append(f"{name}: it needs OpenCV, pip install 'minidl[compare]'")
    for name, stem in {
        "ours, reconstruction only": PLAIN,
        "ours, reconstruction + adversarial": ADVERSARIAL,
    }.items():
        try:
            weights = Weights.load(stem, plan.device)
        except NoWeightsError as reason:
            missing.append(f"{name}: {reason}")
            continue
        flipped = Weights.load(stem, plan.device, flip_average=True)
        rows[name] = Method(_ours(weights), weights.settings())
        rows[f"{name}, with the mirrored picture"] = Method(
            _ours(flipped), weights.settings() | {"mirror": True}
        )
        if stem == ADVERSARIAL:
            rows[f"{name}, with texture of similar patches"] = Method(
                _ours(weights, texture=True), weights.settings() | {"texture": 1}
            )
    return rows, missing


def _each(name: str) -> FillAll:
    return lambda pictures, masks, _: np.stack(
        [METHODS[name](x, mask) for x, mask in zip(pictures.clean, masks, strict=True)]
    )


def _copied(known: Photographs, found: Mapping[str, list[int]]) -> FillAll:
    """Return a function that fills the hole from the nearest neighbour."""

    def fill(pictures: Photographs, masks: np.ndarray, _: np.ndarray) -> np.ndarray:
        others = known.pixels[[found[name][0] for name in pictures.names]] / np.float32(255)
        return np.where(masks[..., None], others, pictures.clean)

    return fill


def _ours(weights: Weights, *, texture: bool = False) -> FillAll:
    def fill(pictures: Photographs, masks: np.ndarray, corners: np.ndarray) -> np.ndarray:
        filled = weights.inpainter.inpaint_batch(pictures.pixels, masks, corners)
        if texture:
            pairs = zip(filled, masks, strict=True)
            filled = np.stack([transfer_texture(picture, mask, ~mask) for picture, mask in pairs])
        return filled

    return fill


def scores(
    plan: Plan, cache: ResultCache, name: str, method: Method
) -> dict[str, dict[str, float]]:
    """Return {picture: scores} of one row, cached."""
    test = plan.test
    if method.limit:
        chosen = subsample(range(len(test)), method.limit)
        test = Photographs(tuple(test.names[i] for i in chosen), test.pixels[chosen])

    def work() -> dict[str, dict[str, float]]:
        masks, corners = plan.masks(len(test), plan.holes)
        filled = method.fill(test, masks, corners)
        rows = zip(test.names, test.clean, filled, masks, strict=True)
        return {n: picture_scores(x, np.clip(y, 0, 1), mask) for n, x, y, mask in rows}

    settings = {"pictures": test.check, "seed": plan.seed, **method.settings}
    stem = name.replace(",", "").replace(" ", "-").replace("+", "and")
    found: dict[str, dict[str, float]] = cache.get_one(f"table1-{stem}", settings, work)
    return found


def table_1(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the scores of every method for the same holes, beside the paper's own."""
    rows, missing = methods(plan, cache)
    means: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for name, method in rows.items():
        found = scores(plan, cache, name, method)
        counts[name] = len(found)
        means[name] = {c: statistics.mean(s[c] for s in found.values()) for c in COLUMNS}
    best = {c: BEST[c](m[c] for m in means.values()) for c in COLUMNS}
    places = {"l1": 2, "l2": 2, "psnr": 2, "whole": 2, "ssim": 3}
    table = [
        Row(
            name,
            [*(f"{mean[c]:.{places[c]}f}" for c in COLUMNS), str(counts[name])],
            best=[i for i, c in enumerate(COLUMNS) if mean[c] == best[c]],
        )
        for name, mean in means.items()
    ]
    table += [Row(n, [*cells, "-", "-", "100"], quoted=True) for n, cells in QUOTED.items()]
    side = plan.holes.side - 2 * plan.holes.overlap
    blocks: list[Block] = [
        Text(
            f"The middle {side} x {side} of 128 x 128 pixels is missing. L1 and L2 are the mean "
            "error and the mean squared error over the hole in percent of the pixel range, PSNR "
            "is that of each picture's hole, then averaged; the last two columns are over the "
            "whole picture, most of which is given. None of these photographs was trained on, or "
            "used to choose anything."
        ),
        Table(
            "Table 1: filling a square in the middle",
            ["", "L1 %", "L2 %", "PSNR dB", "PSNR whole", "SSIM whole", "pictures"],
            table,
            ["Rows in italics are quoted from the paper: other photographs, other networks."],
        ),
    ]
    if missing:
        blocks.append(Text(f"Left out: {'; '.join(missing)}."))
    return blocks
