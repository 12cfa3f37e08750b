"""The training data of a context encoder: squares of photographs with holes, one batch ahead."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from minidl import random
from minidl.device import CPU, Array, Device
from minidl.models.images.files import PictureError, find, read
from minidl.models.terminal import printable
from minidl.models.training.hold_out import hold_out

from . import laplace
from .masks import MEAN_COLOUR, Holes, gather, gather_bilinear

MARGIN_DIVISOR = 16  # photographs are kept larger than the network input by 1 / 16 of its side
MIN_CROP_SHARE = 0.7  # the least side of a random crop, as a share of the photograph's
MAX_BEYOND_SHARE = 0.1  # of its side, that a crop may reach over the border, mirrored there
JITTER = 0.1  # contrast: a factor e^-JITTER to e^JITTER; each colour: up to half of it added
MAX_KEPT_BYTES = 4 << 30  # larger collections are decoded again for each batch
NONE_READABLE = "none of the pictures can be read; expected photographs"


@dataclass(frozen=True)
class Batch:
    """A batch of one training step, pixels in [-1, 1].

    context (N, size, size, 3): (1 - M) . x, the hole in the mean colour or prefilled
    target (N, H, W, 3): the real pixels that the generator has to predict
    weight (N or 1, H, W, 1): the weight of each of these pixels in the reconstruction loss
    """

    context: Array
    target: Array
    weight: Array

    def to(self, device: Device) -> Batch:
        """Return the batch on a device."""
        return Batch(device.put(self.context), device.put(self.target), device.put(self.weight))


def read_square(path: Path, side: int) -> np.ndarray:
    """Read a photograph, and return its middle, resized to (side, side, 3) uint8."""
    return crop_square(read(path).pixels, side)


def crop_square(photograph: np.ndarray, side: int) -> np.ndarray:
    """Return the middle of a photograph (H, W, C) in [0, 1], resized to (side, side, 3) uint8."""
    pixels = np.round(255 * photograph).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    pixels = pixels[top : top + short, left : left + short]
    if short == side:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


class Photographs:
    """Square photographs (side, side, 3) uint8, decoded once if all fit into memory.

    A file that cannot be read is reported on stderr and skipped. If photographs are decoded for
    each batch, the next one replaces it.
    """

    def __init__(self, paths: Sequence[Path], side: int, *, quiet: bool = True) -> None:
        self.paths, self.side = list(paths), side
        self.pixels: np.ndarray | None = None
        self._unreadable: set[int] = set()
        if len(self.paths) * side * side * 3 > MAX_KEPT_BYTES:
            return
        kept: list[Path] = []
        pixels = np.empty((len(self.paths), side, side, 3), np.uint8)
        bar = tqdm(self.paths, desc="reading", leave=False, disable=quiet or None)
        for path in bar:
            try:
                pixels[len(kept)] = read_square(path, side)
                kept.append(path)
            except PictureError as error:
                print(f"passed over: {printable(error)}", file=sys.stderr)
        if not kept:
            raise PictureError(NONE_READABLE)
        self.paths, self.pixels = kept, pixels[: len(kept)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:
        if self.pixels is not None:
            return self.pixels[i]
        while len(self._unreadable) < len(self):
            if i not in self._unreadable:
                try:
                    return read_square(self.paths[i], self.side)
                except PictureError as error:
                    print(f"passed over: {printable(error)}", file=sys.stderr)
                    self._unreadable.add(i)
            i = (i + 1) % len(self)
        raise PictureError(NONE_READABLE)

    def fingerprint(self) -> str:
        """Return a text that changes with the pixels; for a large collection, with the names."""
        names = "\n".join(path.name for path in self.paths)
        check = zlib.crc32(names.encode() if self.pixels is None else self.pixels.data)
        return f"{len(self)} pictures, {check:08x}"


def split(
    folder: str | Path, *, share: int = 40, limit: int = 128
) -> tuple[list[Path], list[Path]]:
    """Return the (training, validation) files of a folder: one in `share`, at most `limit`, is held
    out. A single picture is both.
    """
    paths = [path for path, _ in find([folder])]
    training, held_out = hold_out(paths, share=share, limit=limit)
    return training, sorted(held_out)


def _mirrored(positions: np.ndarray, last: int) -> np.ndarray:
    """Return positions in 0 ... last: those beyond are mirrored at either end."""
    return last - np.abs(last - np.abs(positions))


class Batches:
    """Batches of photographs with holes; the next one is prepared in advance.

    A batch takes a random square of each photograph, which may reach a little over the border. The
    square is resized and perhaps flipped, and its contrast and colours are changed a little.

    All random numbers are drawn here from `rng`, in order. A thread turns them into pixels on
    `device`, which also holds the photographs if it has room. So a step need not wait for its
    batch, and the same rng gives the same batches on any device. `state` is the state of rng from
    which `resume_at` gives the same batches again.
    """

    def __init__(
        self,
        photographs: Photographs,
        holes: Holes,
        batch: int,
        rng: np.random.Generator,
        device: Device = CPU,
    ) -> None:
        self.photographs, self.holes, self.batch, self.rng = photographs, holes, batch, rng
        self.device = device
        self._kept: Array | None = None  # the photographs, on the device
        pixels = photographs.pixels
        if pixels is not None and pixels.nbytes <= device.free_memory() / 4:
            self._kept = device.put(pixels)
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._next: Future[Batch] | None = None
        self.state = random.get_state(rng)

    def next(self) -> Batch:
        """Return the prepared batch, and begin to prepare the one after it."""
        if self._next is None:
            self._begin()
        assert self._next is not None
        batch = self._next.result()
        self._begin()
        return batch

    def resume_at(self, state: str) -> None:
        """Return from now on the batches that followed when `state` was read."""
        random.set_state(self.rng, state)
        self.state, self._next = state, None

    def _begin(self) -> None:
        self.state = random.get_state(self.rng)  # before the next batch, which is not used yet
        n, side = self.batch, self.photographs.side
        which = self.rng.integers(0, len(self.photographs), n)
        lengths = self.rng.uniform(MIN_CROP_SHARE * side, side, n)
        corners = self.rng.random((n, 2)) * (side * (1 + 2 * MAX_BEYOND_SHARE) - lengths)[:, None]
        corners -= MAX_BEYOND_SHARE * side
        flips = self.rng.integers(0, 2, n).astype(bool)
        contrast = np.exp(self.rng.uniform(-JITTER, JITTER, (n, 1)))
        colours = self.rng.uniform(-JITTER, JITTER, (n, 3)) / 2
        steps = (np.arange(self.holes.size) + 0.5) / self.holes.size
        rows, columns = (
            _mirrored(corner[:, None] + lengths[:, None] * steps - 0.5, side - 1)
            for corner in corners.T
        )
        columns[flips] = columns[flips, ::-1]
        light = np.concatenate([contrast, colours], axis=1).astype(np.float32)
        holes = self.holes.draw_rectangles(n, self.rng)
        self._next = self._pool.submit(self._make, which, rows, columns, light, *holes)

    def _make(
        self,
        which: np.ndarray,
        rows: np.ndarray,
        columns: np.ndarray,
        light: np.ndarray,
        rectangles: np.ndarray,
        corners: np.ndarray,
    ) -> Batch:
        pictures = self._kept
        if pictures is None:
            pictures = self.device.put(np.stack([self.photographs[i] for i in which]))
            which = np.arange(len(which))
        pixels = gather_bilinear(pictures, which, rows, columns)
        light = self.device.put(light)[:, None, None]
        pixels *= light[..., :1] / 255
        pixels += light[..., 1:] + (1 - light[..., :1]) / 2  # grey stays grey
        return with_holes(pixels, self.holes.masks(rectangles, self.device), corners, self.holes)


def with_holes(pixels: Array, masks: Array, corners: np.ndarray, holes: Holes) -> Batch:
    """Return the batch of pixels (N, size, size, 3), uint8 or in [0, 1], with these holes.

    masks and corners are as `Holes.draw` returns them. The batch is where the pixels are.
    """
    x = pixels.astype(np.float32)
    x *= np.float32(2 / 255 if pixels.dtype == np.uint8 else 2)
    x -= np.float32(1)
    target = x
    if not holes.full_image:
        steps, (top, left) = np.arange(holes.side), corners.T[..., None]
        target = gather(x, np.arange(len(x)), top + steps, left + steps)
    if not holes.prefilled:
        context = np.where(masks[..., None], np.asarray(2 * MEAN_COLOUR - 1, like=x), x)
    elif holes.full_image:
        context = laplace.multigrid(x, masks)
    else:  # the surface depends only on the pixels around the square in the middle
        context, start = x.copy(), (holes.size - holes.side) // 2
        middle = slice(start, start + holes.side)
        context[:, middle, middle] = laplace.multigrid(target, masks[:, middle, middle])
    return Batch(context, target, holes.weight(masks))
