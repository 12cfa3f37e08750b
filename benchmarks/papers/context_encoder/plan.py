"""The plan of paper 2's pages: methods, pictures, lengths."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minidl.device import CPU, Array, Device, to_cpu
from minidl.models import zoo
from minidl.models.context_encoder import Holes, Inpainter
from minidl.models.context_encoder.data import crop_square, read_square, split, with_holes
from minidl.models.images.files import find, subsample
from minidl.models.images.samples import photograph
from minidl.tensor import no_grad

from ..data import MissingError, ReproduceError

SIZE, SIDE, OVERLAP = 128, 64, 4  # pixels, of the included weights
FIGURE_COLUMNS = 8
COLOURED = ("astronaut", "chelsea", "coffee", "rocket", "grace_hopper")  # included photographs
FOLDERS = "the photographs given"
BATCH = 32  # pictures that go through a network at a time


@dataclass(frozen=True)
class Photographs:
    """Squares of photographs: names of files, pixels (N, SIZE, SIZE, 3) uint8."""

    names: tuple[str, ...]
    pixels: np.ndarray

    @classmethod
    def read(cls, files: list[tuple[Path, Path]]) -> Photographs:
        """Read the photographs of these (path, name)."""
        pixels = [read_square(path, SIZE) for path, _ in files]
        return cls(tuple(str(name) for _, name in files), np.stack(pixels))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def clean(self) -> np.ndarray:
        """Return the pictures as float32 in [0, 1]."""
        return self.pixels / np.float32(255)

    @cached_property
    def check(self) -> str:
        """A checksum of the pictures."""
        return f"{len(self)} {zlib.crc32(np.ascontiguousarray(self.pixels).data):08x}"

    @property
    def kinds(self) -> np.ndarray:
        """Return the class of each picture: its name up to the first underscore."""
        return np.array([Path(name).name.split("_")[0] for name in self.names])


@dataclass(frozen=True)
class Plan:
    """The options of a page.

    data: photographs to score on. train: others to learn from, or None. quick: everything in a few
    minutes, to see that it works. publishable: no pictures of these folders.
    """

    data: Path
    train: Path | None = None
    seed: int = 0
    quick: bool = False
    publishable: bool = False
    device: Device = CPU

    def check(self) -> None:
        """Raise ReproduceError if a folder is missing."""
        for folder in (self.data, self.train):
            if folder is not None and not folder.is_dir():
                raise ReproduceError(f"{folder}: there is no such folder; expected photographs")

    @cached_property
    def test(self) -> Photographs:
        """Return the pictures that are scored."""
        return Photographs.read(subsample(find([self.data]), 12 if self.quick else None))

    @cached_property
    def examples(self) -> Photographs:
        """Return the pictures of the figures: some of `test`, or photographs of the package."""
        if not self.publishable:
            some = np.array(subsample(range(len(self.test)), FIGURE_COLUMNS))
            return Photographs(tuple(self.test.names[i] for i in some), self.test.pixels[some])
        ours = {f"{name}.png": photograph(name) for name in COLOURED}
        return Photographs(tuple(ours), np.stack([crop_square(x, SIZE) for x in ours.values()]))

    @property
    def owner(self) -> str:
        """The owner of `examples`, if they may not be published."""
        return "" if self.publishable else FOLDERS

    @cached_property
    def training(self) -> Photographs:
        """The training pictures, without those held out for `validation`."""
        return self._of(0, 300 if self.quick else None)

    @cached_property
    def validation(self) -> Photographs:
        """Return pictures of the training folder that are held out to compare short trainings."""
        return self._of(1, 12 if self.quick else None)

    def _of(self, which: int, most: int | None) -> Photographs:
        if self.train is None:
            raise MissingError("it needs --train with a folder of photographs")
        paths = split(self.train)[which]
        return Photographs.read(subsample([(p, Path(p.name)) for p in paths], most))

    @property
    def holes(self) -> Holes:
        """The paper's hole: a square in the middle."""
        return Holes("centre", SIZE, SIDE, OVERLAP)

    def masks(self, count: int, holes: Holes) -> tuple[np.ndarray, np.ndarray]:
        """Return masks and corners for `count` pictures, the same in every call."""
        return holes.draw(count, np.random.default_rng(self.seed))


@dataclass(frozen=True)
class Weights:
    """A trained model and its file."""

    path: Path
    inpainter: Inpainter

    @classmethod
    def load(cls, name: str, device: Device, *, flip_average: bool = False) -> Weights:
        """Load weights of the package. Raises NoWeightsError."""
        path = zoo.by_name(name)
        return cls(path, Inpainter.load(path, device=device, flip_average=flip_average))

    def settings(self) -> dict[str, Any]:
        """Return what results with this model depend on, as JSON types."""
        return {"weights": self.path.stem, "check": f"{zlib.crc32(self.path.read_bytes()):08x}"}


def features(inpainter: Inpainter, pictures: np.ndarray, *, hidden: bool) -> np.ndarray:
    """Return features (N, 16 C) of pictures (N, SIZE, SIZE, 3) uint8: the bottleneck's 8 x 8
    positions, averaged over 2 x 2. If `hidden`, the pictures have holes as in the training.
    """
    generator, holes = inpainter.generator.train(False), inpainter.holes
    found = []
    for start in range(0, len(pictures), BATCH):
        some = pictures[start : start + BATCH]
        context: Array = some * np.float32(2 / 255) - np.float32(1)
        if hidden:
            masks, corners = holes.draw(len(some), np.random.default_rng(0))
            context = with_holes(some, masks, corners, holes).context
        like = generator.parameters()[0].data
        with no_grad():
            y = to_cpu(generator.encoder(np.asarray(context, like.dtype, like=like)).data)
        n, h, w, c = y.shape
        found.append(y.reshape(n, 4, h // 4, 4, w // 4, c).mean(axis=(2, 4)).reshape(n, -1))
    return np.concatenate(found).astype(np.float32)
