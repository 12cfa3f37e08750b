"""Figure 3 of paper 1, with numbers that the paper does not give: blind removal of text.

Our network has to find the text. The classical methods get the exact mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minidl.models import zoo
from minidl.models.context_encoder.scores import METHODS
from minidl.models.images.corruptions import HELD_OUT_FONTS, TRAINING_FONTS, add_text
from minidl.models.images.files import write
from minidl.models.images.scores import psnr

from ..baselines import ksvd_inpainting
from ..data import Picture, collection, shortened
from ..report.cache import ResultCache, short
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights
from .quoted import mean_std

SIZES = ((18, 24), (18, 36))
FONTS = {"training fonts": TRAINING_FONTS, "held-out fonts": HELD_OUT_FONTS}
COLOURS: dict[str, Literal["black-white", "any"]] = {
    "black or white": "black-white",
    "any grey": "any",
}
MASKED_METHODS = ("biharmonic", "Telea")  # of METHODS, as far as they are installed
SHOWN_PICTURES = 2  # for each group of fonts

# (written over (H, W, C), mask (H, W)) -> (H, W, C)
Repair = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Condition:
    """A kind of text: heights in pixels, a group of fonts, and colours."""

    sizes: tuple[int, int]
    fonts: str
    colours: str

    @property
    def words(self) -> str:
        return f"{self.sizes[0]} to {self.sizes[1]} px, {self.fonts}, {self.colours}"

    def over(self, picture: Picture, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the picture with text (H, W, 1), and the mask (H, W) of every changed pixel."""
        return add_text(
            picture.pixels,
            picture.rng(seed),
            sizes=self.sizes,
            fonts=FONTS[self.fonts],
            colours=COLOURS[self.colours],
        )


CONDITIONS = [Condition(s, f, c) for s in SIZES for f in FONTS for c in COLOURS]


def with_mask(name: str) -> Repair:
    """Return a classical method for pictures (H, W, C); METHODS need three channels."""
    return lambda x, mask: METHODS[name](np.repeat(x, 3 // x.shape[2], axis=2), mask)[
        ..., : x.shape[2]
    ]


def figure_3(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the PSNR over text and over pictures for every condition, and pictures."""
    pictures = shortened(collection(plan.data, "set12"), plan.count)
    weights = Weights.load(zoo.text_remover(), plan.device)
    repairs: dict[str, tuple[Mapping[str, Any], Repair]] = {
        "damaged": ({}, lambda x, _: x),
        "ours, blind": (weights.settings(), lambda x, _: weights.restorer.repair(x)),
    }
    inpainting = {"patches": ksvd_inpainting.PATCHES, "stride": ksvd_inpainting.STRIDE}
    repairs["K-SVD, told where"] = (inpainting, ksvd_inpainting.inpaint)
    for name in MASKED_METHODS:
        if name in METHODS:
            repairs[f"{name}, told where"] = ({}, with_mask(name))
    scores = {
        c: {name: _score(plan, cache, pictures, c, name, *how) for name, how in repairs.items()}
        for c in CONDITIONS
    }
    blocks: list[Block] = [
        Text(
            "Lines of random words are written over the pictures from top to bottom. Ours, with "
            f"the weights {weights.name}, is not told where they are; the methods beside it are "
            "given the exact mask, which no one has in practice. The paper compares pictures only "
            "and with K-SVD inpainting that is told where, too; it gives no number. Training fonts "
            "are of the DejaVu family, held-out fonts (STIX, Computer Modern) were never trained "
            "on. PSNR in dB, mean and standard deviation over pictures."
        )
    ]
    for over, title in (("text", "over the pixels under text"), ("whole", "over whole pictures")):
        rows = []
        for c, by_method in scores.items():
            values = [[s[over] for s in by_method[name].values()] for name in repairs]
            best = int(np.argmax([np.mean(v) for v in values]))
            rows.append(Row(c.words, [mean_std(v) for v in values], best=[best]))
        caption = f"Figure 3 in numbers, {title} ({len(pictures)} pictures of Set12)"
        blocks.append(Table(caption, ["text", *repairs], rows))
    if "Telea" not in METHODS:
        blocks.append(Text("Left out: Telea; it needs OpenCV: pip install 'minidl[compare]'."))
    blocks += [_figure(plan, cache, pictures, fonts, repairs) for fonts in FONTS]
    return blocks


def _score(
    plan: Plan,
    cache: ResultCache,
    pictures: list[Picture],
    condition: Condition,
    name: str,
    settings: Mapping[str, Any],
    repair: Repair,
) -> dict[str, dict[str, float]]:
    """Return {picture's key: {"text": dB over the mask, "whole": dB}} of one method, cached."""

    def score(picture: Picture) -> dict[str, float]:
        written, mask = condition.over(picture, plan.seed)
        repaired = np.clip(repair(written, mask), 0, 1)
        return {
            "text": psnr(picture.pixels, repaired, mask),
            "whole": psnr(picture.pixels, repaired),
        }

    part = short(f"figure3 {condition.words} {name}")
    return cache.get_each(
        part, {"seed": plan.seed, **settings}, {p.key: p for p in pictures}, score
    )


def _figure(
    plan: Plan,
    cache: ResultCache,
    pictures: list[Picture],
    fonts: str,
    repairs: Mapping[str, tuple[Mapping[str, Any], Repair]],
) -> Figure:
    """Return pictures with text in one group of fonts, repaired by every method."""
    condition = Condition(SIZES[-1], fonts, "black or white")

    def draw(picture: Picture) -> dict[str, Any]:
        written, mask = condition.over(picture, plan.seed)
        files, captions = [], []
        for i, (name, (_, repair)) in enumerate(repairs.items()):
            repaired = np.clip(repair(written, mask), 0, 1)
            stem = short(f"figure3 {fonts} {picture.name.rpartition('.')[0]}")
            files.append(f"{stem}-{i}.png")
            write(cache.pictures / files[-1], repaired)
            over = psnr(picture.pixels, repaired, mask)
            captions.append(
                f"{name}, {psnr(picture.pixels, repaired):.2f} dB ({over:.2f} over the text)"
            )
        return {"pictures": files, "captions": captions}

    settings = {"seed": plan.seed, **{name: dict(s) for name, (s, _) in repairs.items()}}
    shown = {p.key: p for p in (pictures[:1] if plan.quick else pictures[-SHOWN_PICTURES:])}
    made = cache.get_each(short(f"figure3 {fonts}"), settings, shown, draw)
    tiles = [
        (cache.pictures / file, caption)
        for one in made.values()
        for file, caption in zip(one["pictures"], one["captions"], strict=True)
    ]
    return Figure(
        tiles, f"Figure 3: {condition.words}.", across=min(4, len(repairs)), owner="set12"
    )
