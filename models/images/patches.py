"""A picture as overlapping patches, and back.

The auto-encoders see small square patches, flattened to rows of (N, size * size). `map_patches`
applies such a function to a picture: it takes patches at regular positions, repairs them, adds them
up with a window that weighs their centres most, and divides by the total weight. Sums are float64,
so that a function that changes nothing returns the picture bit for bit. `PatchSampler` draws random
patches for training. All of it works on NumPy and on CuPy arrays, on their device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minidl import kernels


def positions(length: int, size: int, stride: int) -> np.ndarray:
    """Return the first pixels of the patches along a side of `length`: 0, stride, 2 stride, ...,
    length - size.

    The last patch ends at the border whatever the stride, so that everything is covered.
    """
    if not 1 <= stride <= size <= length:
        raise ValueError(
            f"positions: length {length}, size {size}, stride {stride}; expected "
            "1 <= stride <= size <= length, so pad the picture or take a smaller patch or stride"
        )
    return np.append(np.arange(0, length - size, stride), length - size)


def gaussian_window(size: int, *, spread: float = 0.25) -> np.ndarray:
    """Return weights (size, size) float32 of deviation spread * size pixels, 1 at the centre."""
    if spread < 0.1:
        raise ValueError(
            f"gaussian_window: spread is {spread}; expected 0.1 or more, so that corners count"
        )
    distance = (np.arange(size) - (size - 1) / 2) / (spread * size)
    bell = np.exp(-(distance**2) / 2)
    return np.outer(bell, bell).astype(np.float32)


def unfold(image: np.ndarray, size: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the patches of image (H, W) that start at rows x columns, (R * C, size * size)."""
    i, j = (np.asarray(starts, like=image) for starts in (rows, columns))
    return sliding_window_view(image, (size, size))[i[:, None], j].reshape(-1, size * size)


class Merger:
    """The weighted mean of overlapping patches on a picture of `shape` (H, W).

    window: positive weights (size, size), a NumPy array. The sums are on the device of `like`.
    """

    def __init__(self, shape: tuple[int, int], window: np.ndarray, *, like: np.ndarray) -> None:
        self.window = window
        self.total = np.zeros_like(like, shape=shape, dtype=np.float64)
        self.weight = np.zeros_like(like, shape=shape, dtype=np.float64)

    def add(self, patches: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
        """Add patches (R * C, size * size), as `unfold` returns them for these rows and columns."""
        size = len(self.window)
        rows, columns, window = (
            np.asarray(a, like=self.total) for a in (rows, columns, self.window)
        )
        patches = patches.reshape(-1, size, size)
        kernels.fold(self.total, self.weight, patches, rows, columns, window)

    def picture(self) -> np.ndarray:
        """Return the picture (H, W) float32. Raises ValueError if a pixel lies under no patch."""
        if not (self.weight > 0).all():
            raise ValueError("Merger: some pixels lie under no patch; add patches that cover all")
        return (self.total / self.weight).astype(np.float32)


def map_patches(
    image: np.ndarray,
    function: Callable[[np.ndarray], np.ndarray],
    *,
    size: int,
    stride: int,
    inner: int | None = None,
    window: np.ndarray | None = None,
    batch: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """image (H, W) -> (H, W) float32, with `function` applied to every patch.

    function: (n, size * size) -> (n, inner * inner), called with bands of about `batch` patches.
    inner: the side of the square in the middle of a patch that `function` returns, by default the
        patch's side. The picture is mirrored beyond its border, as far as the patches reach.
    window: as in Merger, by default gaussian_window(inner).
    progress: called after each band with the number of patches (done, total).
    A picture smaller than a patch is mirrored beyond its border, and cropped again.
    """
    inner = inner or size
    rim, odd = divmod(size - inner, 2)
    if rim < 0 or odd:
        raise ValueError(
            f"map_patches: inner is {inner}, size {size}; expected an even difference >= 0"
        )
    height, width = image.shape
    shape = max(height, inner), max(width, inner)
    rims = [(rim, rim + padded - n) for padded, n in zip(shape, image.shape, strict=True)]
    image = np.pad(image, rims, mode="symmetric")
    rows, columns = (positions(n, inner, stride) for n in shape)
    merger = Merger(shape, gaussian_window(inner) if window is None else window, like=image)
    step = max(1, batch // len(columns))
    for start in range(0, len(rows), step):
        band = rows[start : start + step]
        patches = unfold(image, size, band, columns)
        repaired = function(patches)
        if repaired.shape != (len(patches), inner * inner):
            raise ValueError(
                f"map_patches: function turned {patches.shape} into {repaired.shape}; expected "
                f"{(len(patches), inner * inner)}"
            )
        merger.add(repaired, band, columns)
        if progress:
            progress((start + len(band)) * len(columns), len(rows) * len(columns))
    return merger.picture()[:height, :width]


class PatchSampler:
    """Random patches of pictures (H, W), or (H, W, C) of C planes, for training.

    Every position in every picture is equally likely. Unless `upright`, each patch has one of its
    eight symmetries. The pictures lie one after another in a flat array on the device of `like` (by
    default of the first picture), and a batch is one look-up of indices. Pictures smaller than a
    patch are skipped; raises ValueError if none is left.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        size: int,
        *,
        upright: bool = False,
        like: np.ndarray | None = None,
    ) -> None:
        large = [image for image in images if min(image.shape[:2]) >= size]
        if not large:
            raise ValueError(
                f"PatchSampler: none of {len(images)} pictures is at least {size} x {size}; "
                "give larger pictures, or take a smaller patch"
            )
        like = large[0] if like is None else like
        self.size = size
        planes = large[0].shape[2:]
        self.pixels = np.concatenate(
            [np.asarray(image, dtype=np.float32, like=like).reshape(-1, *planes) for image in large]
        )
        heights, widths = np.array([image.shape[:2] for image in large], dtype=np.int64).T
        counts = (heights - size + 1) * (widths - size + 1)  # positions in each picture
        ends = np.cumsum(counts)
        starts = np.cumsum(heights * widths) - heights * widths  # of each picture in self.pixels
        self.count = int(ends[-1])
        self._ends = np.asarray(ends, like=like)
        # A row per picture: its first position, its first pixel, its width, its positions per row.
        table = np.stack([ends - counts, starts, widths, widths - size + 1], axis=1)
        self._table = np.asarray(table, like=like)
        # The eight symmetries: which row and column of the picture each pixel of a patch shows.
        grid = np.mgrid[:size, :size]  # (2, size, size)
        turns = [np.rot90(g, turn, axes=(1, 2)) for g in (grid, grid.mT) for turn in range(4)]
        symmetries = np.stack(turns[:1] if upright else turns).reshape(-1, 2, size * size)
        self._down = np.asarray(symmetries[:, 0], like=like)
        self._right = np.asarray(symmetries[:, 1], like=like)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n random patches, (n, size * size) float32, or (n, size * size, C) of planes.

        rng: a generator of the pictures' device.
        """
        symmetries = len(self._down)
        draw = rng.integers(0, symmetries * self.count, n)
        symmetry, position = draw % symmetries, draw // symmetries
        first, start, width, per_row = self._table[
            np.searchsorted(self._ends, position, side="right")
        ].T
        position = position - first
        corner = start + position // per_row * width + position % per_row
        index = self._down[symmetry] * width[:, None] + self._right[symmetry] + corner[:, None]
        return self.pixels[index]
