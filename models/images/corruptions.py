"""Degradations of a picture: Gaussian noise, salt and pepper, and lines of text.

Noise works on NumPy and on CuPy arrays of any shape, so that a training can draw it on its device.
Text is drawn by Pillow on the CPU, in fonts of matplotlib: the DejaVu family for training, and
other designs (STIX, Computer Modern) held out for tests.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"

TRAINING_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
)
HELD_OUT_FONTS = (
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
)
FONTS = {name: _FOLDER / f"{name}.ttf" for name in TRAINING_FONTS + HELD_OUT_FONTS}

# Letters with about the frequencies of English, so that lines are as dense as real text.
_LETTERS = tuple("eeeeeetttttaaaaooooiiiinnnnsssshhhhrrrrddlllccuummwwffggyyppbbvkjxqz")


def gaussian_noise(x: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return x plus normal noise of deviation sigma grey levels; not clipped, as in paper 1."""
    return x + rng.standard_normal(x.shape, dtype=x.dtype) * (sigma / 255)


def salt_and_pepper(x: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Return x with about this fraction of its values replaced, half by 0 and half by 1."""
    draw = rng.random(x.shape, dtype=x.dtype)
    noisy = x.copy()
    noisy[draw < fraction] = 0
    noisy[draw < fraction / 2] = 1
    return noisy


def text_sheet(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    sizes: tuple[int, int] = (18, 36),
    fonts: Sequence[str] = TRAINING_FONTS,
    spacing: float = 1.4,
    grey: float = 0.1,
) -> np.ndarray:
    """Return a sheet of text, (H, W, 2) float32: its coverage, from 0 to 1 at the edge of a letter,
    and its colour.

    Each line has a random font of `fonts` (names in FONTS) and a random height in pixels of `sizes`
    (smallest, largest). It begins `spacing` times the height below the line before. It is black or
    white; a share of `grey` of the lines has any grey.
    """
    sheet = np.zeros((*shape, 2), dtype=np.float32)
    for rows, coverage in _lines(shape, rng, sizes, fonts, spacing):
        colour = rng.random() if rng.random() < grey else rng.integers(2)
        sheet[rows, :, 0] = np.maximum(sheet[rows, :, 0], coverage)
        sheet[rows, :, 1] = colour
    return sheet


def add_text(
    pixels: np.ndarray,
    rng: np.random.Generator,
    *,
    sizes: tuple[int, int] = (18, 36),
    fonts: Sequence[str] = TRAINING_FONTS,
    spacing: float = 1.4,
    colours: Literal["black-white", "any"] = "black-white",
) -> tuple[np.ndarray, np.ndarray]:
    """pixels (H, W, C) -> (the picture with text, the mask (H, W) bool of all changed pixels).

    Each line is black or white, or of any colour. The other options are those of text_sheet.
    """
    if colours not in ("black-white", "any"):
        raise ValueError(f"add_text: colours is {colours!r}; expected 'black-white' or 'any'")
    height, width, channels = pixels.shape
    damaged = pixels.copy()
    mask = np.zeros((height, width), dtype=bool)
    for rows, coverage in _lines((height, width), rng, sizes, fonts, spacing):
        colour = rng.random(channels) if colours == "any" else rng.integers(2)
        change = np.asarray(colour, dtype=np.float32) - damaged[rows]
        damaged[rows] += coverage[:, :, None] * change
        mask[rows] |= coverage > 0
    return damaged, mask


def _lines(
    shape: tuple[int, int],
    rng: np.random.Generator,
    sizes: tuple[int, int],
    fonts: Sequence[str],
    spacing: float,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield lines of random words from top to bottom: the h rows, and the coverage (h, W)."""
    if not 1 <= sizes[0] <= sizes[1] or spacing <= 0 or not fonts:
        raise ValueError(
            f"text: sizes are {sizes}, spacing {spacing}, {len(fonts)} fonts; expected "
            "1 <= smallest <= largest, a positive spacing, and at least one font"
        )
    height, width = shape
    # The first line may begin above the border, so that text is as likely there as anywhere.
    top = -float(rng.integers(sizes[1]))
    while top < height:
        size = int(rng.integers(sizes[0], sizes[1], endpoint=True))
        font = _font(fonts[int(rng.integers(len(fonts)))], size)
        left = -float(rng.integers(2 * size))
        line = _word(rng)
        while left + font.getlength(line) < width:
            line += " " + _word(rng)
        ascent, descent = font.getmetrics()
        drawing = Image.new("L", (width, ascent + descent))
        ImageDraw.Draw(drawing).text((left, 0), line, fill=255, font=font)
        first, last = max(0, int(top)), min(height, int(top) + drawing.height)
        if first < last:
            coverage = np.asarray(drawing, dtype=np.float32) / 255
            yield slice(first, last), coverage[first - int(top) : last - int(top)]
        top += spacing * drawing.height


def _word(rng: np.random.Generator) -> str:
    """Return a random word or number, sometimes in capitals, sometimes with punctuation."""
    if rng.random() < 0.1:
        return str(rng.integers(10_000))
    word = "".join(rng.choice(_LETTERS, size=rng.integers(1, 10)))
    style = rng.random()
    if style < 0.3:
        word = word.upper() if style < 0.1 else word.capitalize()
    return word + str(rng.choice(list(".,;:!?"))) if rng.random() < 0.2 else word


@functools.lru_cache(maxsize=512)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name not in FONTS:
        raise ValueError(f"text: there is no font {name!r}; expected some of {', '.join(FONTS)}")
    try:
        # The basic layout is part of every Pillow, so that a seed gives the same text everywhere.
        return ImageFont.truetype(FONTS[name], size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise FileNotFoundError(
            f"text: {FONTS[name]} cannot be opened; it is part of matplotlib, install that again"
        ) from error
