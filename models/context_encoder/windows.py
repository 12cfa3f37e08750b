"""Windows: the square around a hole that a network sees, in a picture of any size.

A hole is cropped with its context, mirrored beyond the picture's border, and resized to the
network's size. The prediction goes the same way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from .masks import Holes, dilate

MERGE_DISTANCE = 0.02  # of the picture's shorter side: nearer holes are filled together
MAX_HOLE_SHARE = 0.5  # of a window's side, for a network that predicts full images
MAX_THICKNESS_SHARE = 0.11  # of its side, the radius of a disc in the hole: as in the training
MAX_ASPECT = 2  # a longer hole is filled in pieces that are this many times as long as thick
MIN_RIM = 2  # the network's pixels between a hole and the edge of its prediction


@dataclass(frozen=True)
class Window:
    """A square of `side` pixels, which may reach over the picture's border, and the pixels of the
    hole in its middle, by their rows and columns in the picture."""

    top: int
    left: int
    side: int
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def around(cls, rows: np.ndarray, columns: np.ndarray, share: float) -> Window:
        """Return the window with this hole in its middle, over `share` of its side."""
        top, left = int(rows.min()), int(columns.min())
        bottom, right = int(rows.max()) + 1, int(columns.max()) + 1
        reach = max(bottom - top, right - left)
        side = int(np.ceil(reach / share))
        side += (side - reach) % 2  # the middle is then between the same pixels for both
        return cls((top + bottom - side) // 2, (left + right - side) // 2, side, rows, columns)

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """picture (H, W, ...) -> (side, side, ...), mirrored beyond the border."""
        rows = mirrored_indices(self.top, self.side, picture.shape[0])
        columns = mirrored_indices(self.left, self.side, picture.shape[1])
        return picture[rows[:, None], columns]

    def hole(self) -> np.ndarray:
        """Return the mask of the hole, (side, side) bool."""
        hole = np.zeros((self.side, self.side), bool)
        hole[self.rows - self.top, self.columns - self.left] = True
        return hole

    def paste(self, square: np.ndarray, picture: np.ndarray) -> None:
        """Copy the hole's pixels from square (side, side, C) into picture (H, W, C)."""
        square = square[self.rows - self.top, self.columns - self.left]
        picture[self.rows, self.columns] = square


def windows_of(mask: np.ndarray, holes: Holes) -> Iterator[Window]:
    """Yield a window for every group of holes in the mask (H, W), for a generator of `holes`.

    A window is about twice as large as its hole, which lies in the middle. A long thin hole is
    filled in pieces, each with its own window: a near view serves it better than a coarse one.
    """
    share = (holes.side - 2 * max(holes.overlap, MIN_RIM)) / holes.size
    near = round(MERGE_DISTANCE * min(mask.shape) / 2)
    groups, _ = ndimage.label(dilate(mask, near), structure=np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(groups), 1):
        hole = mask[box] & (groups[box] == number)
        rows, columns = np.nonzero(hole)
        piece = round(MAX_ASPECT * 2 * inscribed_radius(hole))
        pieces = np.zeros(len(rows), np.int64)
        if max(hole.shape) > 2 * piece:
            pieces = rows // piece * mask.shape[1] + columns // piece
        if holes.full_image:
            share = _share(hole, holes.size, min(mask.shape))
        order = np.argsort(pieces, kind="stable")
        for at in np.split(order, np.flatnonzero(np.diff(pieces[order])) + 1):
            yield Window.around(rows[at] + box[0].start, columns[at] + box[1].start, share)


def _share(hole: np.ndarray, size: int, largest: int) -> float:
    """Return the share of a window's side for this hole (H, W): at most MAX_HOLE_SHARE.

    As far as `largest` pixels allow, the window is also so large that the hole is no thicker than
    those of the training, and that nothing is enlarged to `size`. Either costs up to 2 dB on
    held-out pictures of the training folder.
    """
    reach = max(hole.shape)
    wanted = max(inscribed_radius(hole) / MAX_THICKNESS_SHARE, size)
    return reach / max(reach / MAX_HOLE_SHARE, min(wanted, largest))


def inscribed_radius(hole: np.ndarray) -> float:
    """Return the radius in pixels of the largest disc within a hole (H, W)."""
    return float(ndimage.distance_transform_edt(np.pad(hole, 1)).max())


def mirrored_indices(start: int, count: int, size: int) -> np.ndarray:
    """Return the indices start ... start + count - 1 of an axis, mirrored at its ends."""
    at = np.arange(start, start + count) % (2 * size)
    return np.where(at < size, at, 2 * size - 1 - at)


def resize(picture: np.ndarray, side: int) -> np.ndarray:
    """picture (S, S, C) float32 -> (side, side, C), bicubic, smoothed if it shrinks."""
    if picture.shape[0] == side:
        return picture
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(picture[..., c], np.float32)).resize(
                (side, side), Image.Resampling.BICUBIC
            )
        )
        for c in range(picture.shape[-1])
    ]
    return np.stack(channels, axis=-1)


def fill_nearest(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """pixels (H, W, C) with the nearest known colour in every pixel of the mask (H, W)."""
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    return pixels[tuple(nearest)]
