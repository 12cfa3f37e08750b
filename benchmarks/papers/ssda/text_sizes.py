"""Beyond figure 3: text in colours, and letters too small or too large to be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from minidl.models import plots, zoo
from minidl.models.images.corruptions import add_text
from minidl.models.images.files import write
from minidl.models.images.scores import psnr

from ..data import Picture, photographs
from ..report.cache import ResultCache, short
from ..report.page import Block, Figure, Row, Table, Text
from .figure3_text import FONTS, with_mask
from .plan import Plan, Weights
from .quoted import mean_std

HEIGHTS = (8, 10, 12, 15, 18, 24, 30, 36, 48, 60, 72)
QUICK_HEIGHTS = (12, 24, 48)
SIDE = 256  # pixels of each photograph's middle
SHOWN_HEIGHTS = (10, 24, 72)
IN_COLOUR = (18, 36)
INKS: dict[str, Literal["black-white", "any"]] = {
    "black or white": "black-white",
    "any colour": "any",
}


def sizes(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the PSNR by height of letters, with pictures."""
    weights = Weights.load(zoo.text_remover(), plan.device)
    pictures = {p.key: p for p in photographs(SIDE, colour=False)[: plan.count]}
    heights = QUICK_HEIGHTS if plan.quick else HEIGHTS
    settings = {"seed": plan.seed, **weights.settings()}

    def written(picture: Picture, height: int, fonts: str) -> np.ndarray:
        rng = picture.rng(plan.seed)
        return add_text(picture.pixels, rng, sizes=(height, height), fonts=FONTS[fonts])[0]

    lines: dict[str, list[float]] = {}
    for fonts in FONTS:
        for height in heights:

            def score(
                picture: Picture, height: int = height, fonts: str = fonts
            ) -> dict[str, float]:
                x = written(picture, height, fonts)
                repaired = weights.restorer.repair(x)
                return {"damaged": psnr(picture.pixels, x), "ours": psnr(picture.pixels, repaired)}

            made = cache.get_each(short(f"letters {fonts} {height}"), settings, pictures, score)
            for name in ("ours", "damaged"):
                mean = float(np.mean([m[name] for m in made.values()]))
                lines.setdefault(f"{name}, {fonts}", []).append(mean)
    path = cache.pictures / "letters.png"
    plots.curves(path, np.array(heights), {"PSNR (dB)": lines}, x_label="height of letters (px)")

    def draw(picture: Picture) -> dict[str, Any]:
        files, captions = [], []
        for height in SHOWN_HEIGHTS:
            x = written(picture, height, "training fonts")
            for what, tile in (("written over", x), ("ours", weights.restorer.repair(x))):
                files.append(f"{short(f'letters {height} {what}')}.png")
                write(cache.pictures / files[-1], tile)
                captions.append(f"{height} px, {what}, {psnr(picture.pixels, tile):.2f} dB")
        return {"pictures": files, "captions": captions}

    shown = next(iter(pictures.values()))
    made = cache.get_each("letters-shown", settings, {shown.key: shown}, draw)[shown.key]
    learned = weights.restorer.about()["damage"]
    return [
        Text(
            f"The weights {weights.name} have learned letters of {learned['smallest']} to "
            f"{learned['largest']} pixels, and see {weights.restorer.patch} pixels to a side. Each "
            "photograph is written over in black and white with letters of one height."
        ),
        Figure(
            [(path, "")],
            f"Mean PSNR over whole pictures: {', '.join(_names(pictures))}, in grey, {SIDE}x"
            f"{SIDE}.",
        ),
        Figure(_tiles(cache, made), "Letters that are too small, as trained, too large.", across=2),
    ]


def coloured(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return a table and pictures of colour photographs, each line of text in its own colour."""
    weights = Weights.load(zoo.text_remover(), plan.device)
    pictures = {p.key: p for p in photographs(SIDE, colour=True)[: plan.count]}
    settings = {"seed": plan.seed, **weights.settings()}
    filling = with_mask("biharmonic")
    rows, columns, tiles = [], ["damaged", "ours, blind", "biharmonic, told where"], []
    for fonts in FONTS:
        for ink in INKS:
            name = f"{fonts}, {ink}"

            def score(picture: Picture, fonts: str = fonts, ink: str = ink) -> dict[str, Any]:
                x, mask = add_text(
                    picture.pixels,
                    picture.rng(plan.seed),
                    sizes=IN_COLOUR,
                    fonts=FONTS[fonts],
                    colours=INKS[ink],
                )
                repaired = weights.restorer.repair(x)
                stem = short(f"coloured {fonts} {ink} {picture.name.rpartition('.')[0]}")
                files = [f"{stem}.png", f"{stem}-ours.png"]
                for file, pixels in zip(files, (x, repaired), strict=True):
                    write(cache.pictures / file, pixels)
                tried = (x, repaired, np.clip(filling(x, mask), 0, 1))
                return {"psnr": [psnr(picture.pixels, p) for p in tried], "pictures": files}

            made = cache.get_each(short(f"coloured {name}"), settings, pictures, score)
            values = list(zip(*(m["psnr"] for m in made.values()), strict=True))
            best = int(np.argmax([np.mean(v) for v in values]))
            rows.append(Row(name, [mean_std(v) for v in values], best=[best]))
            one = next(iter(made.values()))
            captions = [
                f"{name}: {what}, {value:.2f} dB"
                for what, value in zip(("written over", "ours"), one["psnr"], strict=False)
            ]
            tiles += _tiles(cache, {"pictures": one["pictures"], "captions": captions})
    return [
        Text(
            "Photographs in colour. The network looks at red, green and blue one by one; what "
            "it finds in any of them is taken off all. A line of any colour is some grey in "
            f"each; in training one line in ten was. Letters of {IN_COLOUR[0]} to {IN_COLOUR[1]} "
            "pixels."
        ),
        Table(
            f"Text in colour, PSNR in dB over whole pictures ({', '.join(_names(pictures))})",
            ["text", *columns],
            rows,
        ),
        Figure(tiles, "The first of them, written over and repaired.", across=2),
    ]


def _names(pictures: dict[str, Picture]) -> list[str]:
    return [p.name.rpartition(".")[0] for p in pictures.values()]


def _tiles(cache: ResultCache, made: dict[str, Any]) -> list[tuple[Path, str]]:
    files = [cache.pictures / name for name in made["pictures"]]
    return list(zip(files, made["captions"], strict=True))
