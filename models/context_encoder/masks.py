"""Holes: where a context encoder learns to fill, and where a user wants it to.

A mask is bool, True (white) in the hole. The paper's three kinds for training, and the report's:

    centre   a square in the middle of the picture
    random   the same square anywhere
    block    several smaller rectangles that may overlap, up to a quarter of the picture
    region   arbitrary shapes: smooth noise, thresholded, 20 to 30 % of the picture
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from scipy import ndimage

from minidl import schema
from minidl.device import CPU, Array, Device
from minidl.models.images.files import PictureError, read
from minidl.schema import OneOf, Range

KINDS = ("centre", "random", "block", "region")
Kind = Annotated[str, OneOf(*KINDS)]
Overlap = Annotated[int, Range(0, 1024)]  # pixels
Weight = Annotated[float, Range(0, 1e6)]  # in a loss
MEAN_COLOUR = np.array([117, 104, 123], np.float32) / 255  # what a hole is filled with
RIM_WEIGHT = 10.0  # of the overlap in the paper's reconstruction loss


@dataclass(frozen=True)
class Holes:
    """A kind of hole in pictures of size x size, and what a generator is to give for it.

    For centre and random the generator gives a square of `side` pixels. Its outermost `overlap`
    pixels are not hidden: they are known context, and the loss weighs them `rim` times, in the
    paper ten, so that the filling fits its surroundings. For block and region it gives the whole
    picture, and the overlap lies around the holes.

    What it sees in a hole is one colour, the mean of all photographs; or, `bridged`, a membrane
    over it, which it corrects. So it must then give the whole picture for random, too.
    """

    kind: Kind
    size: Annotated[int, Range(1, 4096)]
    side: Annotated[int, Range(1, 4096)]
    overlap: Overlap = 0
    rim: Weight = RIM_WEIGHT
    bridged: bool = False

    def __post_init__(self) -> None:
        schema.check(self)
        if not 0 <= 2 * self.overlap < self.side:
            raise ValueError(
                f"overlap {self.overlap}: expected 0 to {(self.side - 1) // 2} pixels of the"
                f" {self.side} that are predicted"
            )

    @property
    def whole(self) -> bool:
        """Return whether the generator predicts a whole picture."""
        return self.kind in ("block", "region") or (self.kind == "random" and self.bridged)

    def choose(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(places, corners): what n holes are made of, all that chance has to say about them.

        places (n, R, 4): rectangles by top, left, bottom and right; for region, of the pattern.
        corners (n, 2): where what is predicted begins, top and left.
        """
        corners = np.zeros((n, 2), np.int64)
        if self.kind == "block":
            return np.stack([blocks(self.size, rng) for _ in range(n)]), corners
        if self.kind == "region":
            return np.stack([region(self.size, rng) for _ in range(n)]), corners
        corners += (self.size - self.side) // 2
        if self.kind == "random":
            corners = rng.integers(0, self.size - self.side, (n, 2), endpoint=True)
        inner = corners + self.overlap, corners + self.side - self.overlap
        places = np.concatenate(inner, axis=1)[:, None]
        return places, np.zeros_like(corners) if self.whole else corners

    def masks(self, places: np.ndarray, device: Device = CPU) -> Array:
        """The masks (n, size, size) of chosen places, made on the device."""
        if self.kind == "region":
            which, (top, left) = np.zeros(len(places), np.int64), places[:, 0, :2].T
            steps = np.arange(self.size)
            return cut(_pattern(device), which, top[:, None] + steps, left[:, None] + steps)[..., 0]
        return _inside(places, self.size, device)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n masks (n, size, size), and the top left corner (n, 2) of what is predicted for each."""
        places, corners = self.choose(n, rng)
        return self.masks(places), corners

    def weight(self, masks: Array) -> Array:
        """Return the weight of each predicted pixel in the loss for these masks: (n, size, size,
        1), or one square for all, (1, side, side, 1). It is 1 in the hole, `rim` in the overlap, 0
        elsewhere.
        """
        if self.whole:
            near = _near(masks, self.overlap)
            return np.where(masks, 1, self.rim * near)[..., None].astype(np.float32)
        weight = np.full((1, self.side, self.side, 1), self.rim, np.float32)
        inner = slice(self.overlap, self.side - self.overlap)
        weight[:, inner, inner] = 1
        return np.asarray(weight, like=masks)


def cut(pictures: Array, which: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Array:
    """pictures (M, H, W, C) -> (n, h, w, C), where they are: of each picture of which (n,), rows
    (n, h) by columns (n, w). Only these short lists of numbers move to its device."""
    _, H, W, C = pictures.shape
    lines = np.asarray(W * (H * which[:, None] + rows), like=pictures)
    index = lines[:, :, None] + np.asarray(columns, like=pictures)[:, None, :]
    return np.take(pictures.reshape(-1, C), index, axis=0)


def sampled(pictures: Array, which: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Array:
    """`cut` at places between the pixels, from 0 to H - 1 and W - 1: float32, bilinear."""
    _, H, W, _ = pictures.shape
    above = np.minimum(rows.astype(int), H - 2)
    left = np.minimum(columns.astype(int), W - 2)
    down = np.asarray((rows - above).astype(np.float32), like=pictures)[:, :, None, None]
    over = np.asarray((columns - left).astype(np.float32), like=pictures)[:, None, :, None]

    def line(rows: np.ndarray) -> Array:
        one, other = (cut(pictures, which, rows, left + i).astype(np.float32) for i in (0, 1))
        return one + over * (other - one)

    upper = line(above)
    return upper + down * (line(above + 1) - upper)


def _near(masks: Array, reach: int) -> Array:
    """masks (n, H, W) with all that is at most `reach` rows and columns away."""
    for axis in (1, 2):
        lines = np.moveaxis(masks, axis, 0)
        masks = masks.copy()
        grown = np.moveaxis(masks, axis, 0)
        for step in range(1, reach + 1):
            grown[step:] |= lines[:-step]
            grown[:-step] |= lines[step:]
    return masks


def _inside(places: np.ndarray, size: int, device: Device = CPU) -> Array:
    """(n, size, size) bool: whether a pixel is in one of the rectangles (n, R, 4)."""
    steps, (top, left, bottom, right) = np.arange(size), np.moveaxis(places, -1, 0)[..., None]
    rows = device.put((steps >= top) & (steps < bottom))  # (n, R, size)
    columns = device.put((steps >= left) & (steps < right))
    return (rows[..., :, None] & columns[..., None, :]).any(axis=1)


BLOCKS = 5  # at most, in a picture


def blocks(size: int, rng: np.random.Generator) -> np.ndarray:
    """(5, 4): one to five rectangles, each side an eighth to a third of the picture's, together at
    most a quarter of it; the others are empty."""
    places, mask = np.zeros((BLOCKS, 4), np.int64), np.zeros((size, size), bool)
    for place in places[: int(rng.integers(1, BLOCKS, endpoint=True))]:
        height, width = rng.integers(size // 8, size // 3, 2, endpoint=True)
        top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        mask[top : top + height, left : left + width] = True
        if mask.sum() > size * size / 4:
            break
        place[:] = top, left, top + height, left + width
    return places


# From the authors' code: noise at 6 % of the resolution, enlarged, below a threshold of 0.25.
_RESOLUTION, _DENSITY, _PATTERN = 0.06, 0.25, 2048
_LEAST, _MOST = 0.2, 0.3


def region(size: int, rng: np.random.Generator) -> np.ndarray:
    """(1, 4): a piece of one large pattern, drawn until 20 to 30 % of it are hole."""
    sums = _sums()
    while True:
        top, left = rng.integers(0, _PATTERN - size, 2, endpoint=True)
        bottom, right = top + size, left + size
        area = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        if _LEAST <= area / size**2 <= _MOST:
            return np.array([[top, left, bottom, right]])


@lru_cache(maxsize=2)
def _pattern(device: Device = CPU) -> Array:
    """(1, side, side, 1) bool: the pattern, the same in every process, on the device."""
    coarse = round(_RESOLUTION * _PATTERN)
    noise = np.random.default_rng(0).random((coarse, coarse), dtype=np.float32)
    smooth = Image.fromarray(noise).resize((_PATTERN, _PATTERN), Image.Resampling.BICUBIC)
    return device.put((np.asarray(smooth) < _DENSITY)[None, :, :, None])


@lru_cache(maxsize=1)
def _sums() -> np.ndarray:
    """Over all of the pattern that is above and left of a place."""
    return np.pad(_pattern()[0, :, :, 0].cumsum(0).cumsum(1), ((1, 0), (1, 0)))


# --- a user's masks -------------------------------------------------------------------------------


def from_picture(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """The mask in a picture of this shape (H, W): white, or brighter than half, is hole; what is
    transparent is none.

    Raises PictureError if it cannot be read or has another size.
    """
    picture = read(path)
    pixels = picture.pixels
    if pixels.shape[:2] != shape:
        (height, width), (h, w) = shape, pixels.shape[:2]
        raise PictureError(
            f"{path}: the mask is {w}x{h}, the picture {width}x{height}; expected one size"
        )
    light = pixels.mean(axis=2)
    return (light if picture.alpha is None else light * picture.alpha) > 0.5


def from_box(box: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """The mask of a rectangle (x, y, width, height) in pixels, from the top left corner.

    Raises ValueError where it reaches over the border of the picture's shape (H, W).
    """
    x, y, width, height = box
    if x + width > shape[1] or y + height > shape[0]:
        raise ValueError(
            f"mask {x},{y},{width},{height}: reaches over the border of the picture, which is"
            f" {shape[1]}x{shape[0]}"
        )
    mask = np.zeros(shape, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask (H, W) and all that is within so many pixels of it."""
    if not pixels or not mask.any():
        return mask
    return ndimage.distance_transform_edt(~mask) <= pixels
