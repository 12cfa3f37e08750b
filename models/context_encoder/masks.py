"""Holes in pictures: random ones for a training, and a user's masks.

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
PAPER_OVERLAP_WEIGHT = 10.0  # of the overlap in the paper's reconstruction loss


@dataclass(frozen=True)
class Holes:
    """A kind of hole in pictures of size x size, and the part of them that a generator predicts.

    For centre and random it predicts a square of `side` pixels. The outermost `overlap` pixels of
    the square are not hidden, and the loss weighs them `overlap_weight` times (10 in the paper), so
    that the filling fits its surroundings. For block and region it predicts the full image, and
    the overlap lies around the holes.

    The generator's input has the mean colour of all photographs in a hole. If `prefilled`, it has a
    smooth surface there instead, which the generator corrects; it then predicts the full image for
    random, too.
    """

    kind: Kind
    size: Annotated[int, Range(1, 4096)]
    side: Annotated[int, Range(1, 4096)]
    overlap: Overlap = 0
    overlap_weight: Weight = PAPER_OVERLAP_WEIGHT
    prefilled: bool = False

    def __post_init__(self) -> None:
        schema.check(self)
        if not 0 <= 2 * self.overlap < self.side:
            raise ValueError(
                f"overlap {self.overlap}: expected 0 to {(self.side - 1) // 2} pixels of the"
                f" {self.side} that are predicted"
            )

    @property
    def full_image(self) -> bool:
        """True if the generator predicts the full image, not a square."""
        return self.kind in ("block", "region") or (self.kind == "random" and self.prefilled)

    def draw_rectangles(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (rectangles, corners) of n holes; `masks` needs no more random numbers.

        rectangles (n, R, 4): top, left, bottom, right; for region one rectangle of the pattern.
        corners (n, 2): top and left of the part that is predicted.
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
        rectangles = np.concatenate(inner, axis=1)[:, None]
        return rectangles, np.zeros_like(corners) if self.full_image else corners

    def masks(self, rectangles: np.ndarray, device: Device = CPU) -> Array:
        """Return the masks (n, size, size) of these rectangles, made on the device."""
        if self.kind == "region":
            which, (top, left) = np.zeros(len(rectangles), np.int64), rectangles[:, 0, :2].T
            steps = np.arange(self.size)
            return gather(_pattern(device), which, top[:, None] + steps, left[:, None] + steps)[
                ..., 0
            ]
        return _inside(rectangles, self.size, device)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return n masks (n, size, size), and the corner (n, 2) of the predicted part of each."""
        rectangles, corners = self.draw_rectangles(n, rng)
        return self.masks(rectangles), corners

    def weight(self, masks: Array) -> Array:
        """Return the weight of each predicted pixel, (n, size, size, 1) or (1, side, side, 1).

        It is 1 in the hole, `overlap_weight` in the overlap, 0 elsewhere.
        """
        if self.full_image:
            near = _near(masks, self.overlap)
            return np.where(masks, 1, self.overlap_weight * near)[..., None].astype(np.float32)
        weight = np.full((1, self.side, self.side, 1), self.overlap_weight, np.float32)
        inner = slice(self.overlap, self.side - self.overlap)
        weight[:, inner, inner] = 1
        return np.asarray(weight, like=masks)


def gather(pictures: Array, which: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Array:
    """pictures (M, H, W, C) -> (n, h, w, C): rows (n, h) and columns (n, w) of pictures which (n,).

    Works where the pictures are; only the indices are moved there.
    """
    _, H, W, C = pictures.shape
    lines = np.asarray(W * (H * which[:, None] + rows), like=pictures)
    index = lines[:, :, None] + np.asarray(columns, like=pictures)[:, None, :]
    return np.take(pictures.reshape(-1, C), index, axis=0)


def gather_bilinear(
    pictures: Array, which: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> Array:
    """Gather as `gather`, at positions between pixels: float32, bilinear.

    Positions go from 0 to H - 1 and W - 1.
    """
    _, H, W, _ = pictures.shape
    above = np.minimum(rows.astype(int), H - 2)
    left = np.minimum(columns.astype(int), W - 2)
    down = np.asarray((rows - above).astype(np.float32), like=pictures)[:, :, None, None]
    over = np.asarray((columns - left).astype(np.float32), like=pictures)[:, None, :, None]

    def line(rows: np.ndarray) -> Array:
        one, other = (gather(pictures, which, rows, left + i).astype(np.float32) for i in (0, 1))
        return one + over * (other - one)

    upper = line(above)
    return upper + down * (line(above + 1) - upper)


def _near(masks: Array, reach: int) -> Array:
    """masks (n, H, W) -> the same, with every pixel at most `reach` rows and columns away."""
    for axis in (1, 2):
        lines = np.moveaxis(masks, axis, 0)
        masks = masks.copy()
        grown = np.moveaxis(masks, axis, 0)
        for step in range(1, reach + 1):
            grown[step:] |= lines[:-step]
            grown[:-step] |= lines[step:]
    return masks


def _inside(rectangles: np.ndarray, size: int, device: Device = CPU) -> Array:
    """Return (n, size, size) bool: True in each of the rectangles (n, R, 4)."""
    steps, (top, left, bottom, right) = np.arange(size), np.moveaxis(rectangles, -1, 0)[..., None]
    rows = device.put((steps >= top) & (steps < bottom))  # (n, R, size)
    columns = device.put((steps >= left) & (steps < right))
    return (rows[..., :, None] & columns[..., None, :]).any(axis=1)


MAX_BLOCKS = 5  # in a picture


def blocks(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return one to five rectangles (5, 4), the others empty.

    Their sides are an eighth to a third of the picture's; together they cover at most a quarter.
    """
    rectangles, mask = np.zeros((MAX_BLOCKS, 4), np.int64), np.zeros((size, size), bool)
    for rectangle in rectangles[: int(rng.integers(1, MAX_BLOCKS, endpoint=True))]:
        height, width = rng.integers(size // 8, size // 3, 2, endpoint=True)
        top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        mask[top : top + height, left : left + width] = True
        if mask.sum() > size * size / 4:
            break
        rectangle[:] = top, left, top + height, left + width
    return rectangles


# From the authors' code: noise at 6 % of the resolution, enlarged, below a threshold of 0.25.
_RESOLUTION, _THRESHOLD, _PATTERN_SIDE = 0.06, 0.25, 2048
_MIN_SHARE, _MAX_SHARE = 0.2, 0.3  # of a picture that is hole


def region(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a square of one large pattern (1, 4), drawn until 20 to 30 % of it are hole."""
    sums = _sums()
    while True:
        top, left = rng.integers(0, _PATTERN_SIDE - size, 2, endpoint=True)
        bottom, right = top + size, left + size
        area = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        if _MIN_SHARE <= area / size**2 <= _MAX_SHARE:
            return np.array([[top, left, bottom, right]])


@lru_cache(maxsize=2)
def _pattern(device: Device = CPU) -> Array:
    """Return the pattern (1, side, side, 1) bool on the device, the same in every process."""
    coarse = round(_RESOLUTION * _PATTERN_SIDE)
    noise = np.random.default_rng(0).random((coarse, coarse), dtype=np.float32)
    smooth = Image.fromarray(noise).resize((_PATTERN_SIDE, _PATTERN_SIDE), Image.Resampling.BICUBIC)
    return device.put((np.asarray(smooth) < _THRESHOLD)[None, :, :, None])


@lru_cache(maxsize=1)
def _sums() -> np.ndarray:
    """Return the integral image of the pattern: sums over all pixels above and to the left."""
    return np.pad(_pattern()[0, :, :, 0].cumsum(0).cumsum(1), ((1, 0), (1, 0)))


# --- a user's masks -------------------------------------------------------------------------------


def from_picture(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a mask for a picture of this shape (H, W): pixels brighter than half are hole, and
    transparent ones are not.

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
    """Return the mask (H, W) of a rectangle (x, y, width, height) in pixels from the top left.

    Raises ValueError if it reaches over the border.
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


def dilate(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return the mask (H, W), extended by all pixels within this distance of it."""
    if not pixels or not mask.any():
        return mask
    return ndimage.distance_transform_edt(~mask) <= pixels
