"""Photographs as a context encoder learns from them: squares with holes, a batch ahead of time."""

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
from minidl.models.terminal import shown

from .laplace import bridged
from .masks import MEAN_COLOUR, Holes, cut, sampled

MARGIN = 16  # photographs are kept 1/16 larger than the network takes
SMALLEST = 0.7  # of their side, that a square which is cut from them has at least
BEYOND = 0.1  # of their side, that such a square may reach over the border, mirrored there
JITTER = 0.1  # contrast: a factor e^-JITTER to e^JITTER; each colour: up to half of it added
KEPT = 4 << 30  # bytes: what is larger together is decoded anew each time
NONE = "none of the pictures can be read; expected photographs"


@dataclass(frozen=True)
class Batch:
    """A batch of one training step, pixels in [-1, 1].

    context (N, size, size, 3): (1 - M) . x, the hole of the mean colour or bridged
    target (N, H, W, 3): the real part that the generator is to give
    weight (N or 1, H, W, 1): of each of its pixels in the reconstruction loss
    """

    context: Array
    target: Array
    weight: Array

    def on(self, device: Device) -> Batch:
        """The same on another device."""
        return Batch(device.put(self.context), device.put(self.target), device.put(self.weight))


def square(path: Path, side: int) -> np.ndarray:
    """The middle of a photograph's file, scaled to (side, side, 3) uint8."""
    return squared(read(path).pixels, side)


def squared(photograph: np.ndarray, side: int) -> np.ndarray:
    """The middle of a photograph (H, W, C) in [0, 1], scaled to (side, side, 3) uint8."""
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
    """Square photographs (side, side, 3) uint8, decoded once where all fit into memory.

    One that cannot be read is told and passed over; where it is found out late, the next stands in.
    """

    def __init__(self, paths: Sequence[Path], side: int, *, quiet: bool = True) -> None:
        self.paths, self.side = list(paths), side
        self.pixels: np.ndarray | None = None
        self._unreadable: set[int] = set()
        if len(self.paths) * side * side * 3 > KEPT:
            return
        kept: list[Path] = []
        pixels = np.empty((len(self.paths), side, side, 3), np.uint8)
        bar = tqdm(self.paths, desc="reading", leave=False, disable=quiet or None)
        for path in bar:
            try:
                pixels[len(kept)] = square(path, side)
                kept.append(path)
            except PictureError as error:
                print(f"passed over: {shown(error)}", file=sys.stderr)
        if not kept:
            raise PictureError(NONE)
        self.paths, self.pixels = kept, pixels[: len(kept)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:
        if self.pixels is not None:
            return self.pixels[i]
        while len(self._unreadable) < len(self):
            if i not in self._unreadable:
                try:
                    return square(self.paths[i], self.side)
                except PictureError as error:
                    print(f"passed over: {shown(error)}", file=sys.stderr)
                    self._unreadable.add(i)
            i = (i + 1) % len(self)
        raise PictureError(NONE)

    def fingerprint(self) -> str:
        """A short text that changes with the pictures: their pixels, or the names of very many."""
        names = "\n".join(path.name for path in self.paths)
        check = zlib.crc32(names.encode() if self.pixels is None else self.pixels.data)
        return f"{len(self)} pictures, {check:08x}"


def split(folder: str | Path, *, share: int = 40, most: int = 128) -> tuple[list[Path], list[Path]]:
    """(training, validation) files of a folder: one in `share` is held out, `most` at most.

    A single picture has to be both.
    """
    paths = [path for path, _ in find([folder])]
    every = max(share, -(-len(paths) // most))
    held_out = set(paths[::-every])
    return [path for path in paths if path not in held_out] or paths, sorted(held_out)


def _mirrored(places: np.ndarray, last: int) -> np.ndarray:
    """Places beyond 0 and `last`, mirrored at them."""
    return last - np.abs(last - np.abs(places))


class Batches:
    """Batches of photographs with holes; one is always ready.

    Of each photograph a square is cut at random, which may reach a little over its border, scaled
    and perhaps mirrored, its contrast and colours changed a little: none is seen twice as it is.

    All chance is drawn here from `rng`, in order; a thread turns the drawn numbers into pixels on
    `device`, where the photographs are, if there is room for them. So the next step need not wait,
    and the same rng gives the same batches, on any device. `state` is the state of rng from which
    `go_on` makes the same batches follow.
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
        self._coming: Future[Batch] | None = None
        self.state = random.get_state(rng)

    def next(self) -> Batch:
        """The batch that is ready; the one after it is begun."""
        if self._coming is None:
            self._begin()
        assert self._coming is not None
        batch = self._coming.result()
        self._begin()
        return batch

    def go_on(self, state: str) -> None:
        """Give the batches that followed when `state` was noted."""
        random.set_state(self.rng, state)
        self.state, self._coming = state, None

    def _begin(self) -> None:
        self.state = random.get_state(self.rng)  # before the numbers of the batch that is not used
        n, side = self.batch, self.photographs.side
        which = self.rng.integers(0, len(self.photographs), n)
        lengths = self.rng.uniform(SMALLEST * side, side, n)
        corners = self.rng.random((n, 2)) * (side * (1 + 2 * BEYOND) - lengths)[:, None]
        corners -= BEYOND * side
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
        holes = self.holes.choose(n, self.rng)
        self._coming = self._pool.submit(self._make, which, rows, columns, light, *holes)

    def _make(
        self,
        which: np.ndarray,
        rows: np.ndarray,
        columns: np.ndarray,
        light: np.ndarray,
        places: np.ndarray,
        corners: np.ndarray,
    ) -> Batch:
        pictures = self._kept
        if pictures is None:
            pictures = self.device.put(np.stack([self.photographs[i] for i in which]))
            which = np.arange(len(which))
        pixels = sampled(pictures, which, rows, columns)
        light = self.device.put(light)[:, None, None]
        pixels *= light[..., :1] / 255
        pixels += light[..., 1:] + (1 - light[..., :1]) / 2  # grey stays grey
        return with_holes(pixels, self.holes.masks(places, self.device), corners, self.holes)


def with_holes(pixels: Array, masks: Array, corners: np.ndarray, holes: Holes) -> Batch:
    """pixels (N, size, size, 3) uint8 or in [0, 1], masks and corners as `Holes.draw` gave them.

    The batch is where the pixels and masks are.
    """
    x = pixels.astype(np.float32)
    x *= np.float32(2 / 255 if pixels.dtype == np.uint8 else 2)
    x -= np.float32(1)
    target = x
    if not holes.whole:
        steps, (top, left) = np.arange(holes.side), corners.T[..., None]
        target = cut(x, np.arange(len(x)), top + steps, left + steps)
    if not holes.bridged:
        context = np.where(masks[..., None], np.asarray(2 * MEAN_COLOUR - 1, like=x), x)
    elif holes.whole:
        context = bridged(x, masks)
    else:  # what surrounds the square in the middle is all that its membrane depends on
        context, start = x.copy(), (holes.size - holes.side) // 2
        middle = slice(start, start + holes.side)
        context[:, middle, middle] = bridged(target, masks[:, middle, middle])
    return Batch(context, target, holes.weight(masks))
