"""Between a hole in a picture of any size and the square that a network fills.

A hole is cut out with the context around it, mirrored where that reaches over the border, scaled to
the network's size, and what the network gives is scaled back and fitted to its surroundings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from .laplace import skin
from .masks import Holes, grown

NEAR = 0.02  # holes less than this part of the picture apart are filled together
WIDEST = 0.5  # of a side that a hole may take up in a network that predicts whole pictures
THICKEST = 0.11  # of a side that the radius of a disc within it may be: so thick are regions
THICK = 2  # times as long as it is thick, a hole is filled in pieces of that length
LEAST_RIM = 2  # pixels of the network's that stay between a hole and the edge of what it predicts
RIM = 3  # known pixels around a hole that tell what a prediction is wrong by
SMOOTH = 1.5  # the deviation in pixels by which that is smoothed, so that no grain is spread


@dataclass(frozen=True)
class Window:
    """A square of `side` pixels in a picture, its corner perhaps beyond the border, and the rows
    and columns in the picture of the hole that is to be filled from it."""

    top: int
    left: int
    side: int
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def around(cls, rows: np.ndarray, columns: np.ndarray, part: float) -> Window:
        """With the hole in the middle, taking up `part` of a side."""
        top, left = int(rows.min()), int(columns.min())
        bottom, right = int(rows.max()) + 1, int(columns.max()) + 1
        reach = max(bottom - top, right - left)
        side = int(np.ceil(reach / part))
        side += (side - reach) % 2  # the middle is then between the same pixels for both
        return cls((top + bottom - side) // 2, (left + right - side) // 2, side, rows, columns)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """picture (H, W, ...) -> (side, side, ...), mirrored beyond the border."""
        rows = mirrored(self.top, self.side, picture.shape[0])
        columns = mirrored(self.left, self.side, picture.shape[1])
        return picture[rows[:, None], columns]

    def hole(self) -> np.ndarray:
        """The hole, (side, side) bool."""
        hole = np.zeros((self.side, self.side), bool)
        hole[self.rows - self.top, self.columns - self.left] = True
        return hole

    def paste(self, square: np.ndarray, picture: np.ndarray) -> None:
        """Set the hole's pixels of picture (H, W, C), in place, from square (side, side, C)."""
        square = square[self.rows - self.top, self.columns - self.left]
        picture[self.rows, self.columns] = square


def windows(mask: np.ndarray, holes: Holes) -> Iterator[Window]:
    """A window for every group of holes of the mask (H, W), as a generator for `holes` wants it:
    about twice as large as the hole, which lies in the middle. A long thin hole is cut into
    pieces, each with a window of its own: what is near fills it better than a coarse view."""
    part = WIDEST if holes.whole else (holes.side - 2 * max(holes.overlap, LEAST_RIM)) / holes.size
    near = round(NEAR * min(mask.shape) / 2)
    groups, _ = ndimage.label(grown(mask, near), structure=np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(groups), 1):
        hole = mask[box] & (groups[box] == number)
        rows, columns = np.nonzero(hole)
        piece = round(THICK * 2 * thickness(hole))
        pieces = np.zeros(len(rows), np.int64)
        if max(hole.shape) > 2 * piece:
            pieces = rows // piece * mask.shape[1] + columns // piece
        if holes.whole:
            part = _part(hole, holes.size, min(mask.shape))
        order = np.argsort(pieces, kind="stable")
        for at in np.split(order, np.flatnonzero(np.diff(pieces[order])) + 1):
            yield Window.around(rows[at] + box[0].start, columns[at] + box[1].start, part)


def _part(hole: np.ndarray, size: int, largest: int) -> float:
    """The part of a window's side that this hole (H, W) should take up: no wider than WIDEST and,
    as far as a window of `largest` pixels allows it, neither thicker than the holes of the training
    nor enlarged to `size`: on held-out pictures of the training folder that cost up to 2 dB."""
    reach = max(hole.shape)
    wanted = max(thickness(hole) / THICKEST, size)
    return reach / max(reach / WIDEST, min(wanted, largest))


def thickness(hole: np.ndarray) -> float:
    """The radius in pixels of the largest disc within a hole (H, W)."""
    return float(ndimage.distance_transform_edt(np.pad(hole, 1)).max())


def mirrored(start: int, count: int, size: int) -> np.ndarray:
    """The indices start ... start + count - 1 of an axis, mirrored at its ends."""
    at = np.arange(start, start + count) % (2 * size)
    return np.where(at < size, at, 2 * size - 1 - at)


def scaled(picture: np.ndarray, side: int) -> np.ndarray:
    """picture (S, S, C) float32 -> (side, side, C), smoothed where it shrinks."""
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


def spread(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """pixels (H, W, C) with the nearest known colour in every pixel of the mask (H, W)."""
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    return pixels[tuple(nearest)]


def fitted(
    prediction: np.ndarray, pixels: np.ndarray, hole: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """prediction (S, S, C) brought to meet the known pixels (S, S, C) around the hole (S, S).

    What the prediction is wrong by on known pixels (S, S) at the border is spread into the hole as
    a stretched skin would be (Laplace's equation), and added: the seam closes, and the texture
    stays (Perez, Gangnet & Blake, Poisson image editing, 2003).
    """
    rim = known & ~hole & ndimage.binary_dilation(hole, iterations=RIM)
    if not rim.any():
        return prediction.copy()
    wrong = ndimage.gaussian_filter(
        np.where(rim[..., None], pixels - prediction, 0), (SMOOTH, SMOOTH, 0), mode="constant"
    )
    amount = ndimage.gaussian_filter(rim.astype(np.float32), SMOOTH, mode="constant")
    wrong /= np.maximum(amount, 1e-6)[..., None]
    result = prediction.copy()
    result[hole] += skin(wrong, hole, rim)[hole]
    return result
