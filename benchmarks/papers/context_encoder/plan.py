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
from minidl.models.context_encoder import Filler, Holes
from minidl.models.context_encoder.data import split, square, squared, with_holes
from minidl.models.images.files import evenly, find
from minidl.models.images.samples import photograph
from minidl.tensor import no_grad

from ..data import MissingError, ReproduceError

SIZE, SIDE, OVERLAP = 128, 64, 4  # of the weights that come along, in pixels
SHOWN = 8  # columns of a figure
COLOURED = ("astronaut", "chelsea", "coffee", "rocket", "grace_hopper")  # of what comes along
FOLDERS = "the photographs given"
TOGETHER = 32  # pictures that go through a network at a time


@dataclass(frozen=True)
class Photographs:
    """Squares of photographs: their files' names, pixels (N, SIZE, SIZE, 3) uint8."""

    names: tuple[str, ...]
    pixels: np.ndarray

    @classmethod
    def read(cls, files: list[tuple[Path, Path]]) -> Photographs:
        """Return the photographs of these (path, name)."""
        pixels = [square(path, SIZE) for path, _ in files]
        return cls(tuple(str(name) for _, name in files), np.stack(pixels))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def clean(self) -> np.ndarray:
        """Return the pictures as float32 in [0, 1]."""
        return self.pixels / np.float32(255)

    @cached_property
    def check(self) -> str:
        """Changes with the pictures."""
        return f"{len(self)} {zlib.crc32(np.ascontiguousarray(self.pixels).data):08x}"

    @property
    def kinds(self) -> np.ndarray:
        """Return the class of each picture: its name up to the first underscore."""
        return np.array([Path(name).name.split("_")[0] for name in self.names])


@dataclass(frozen=True)
class Plan:
    """data: photographs to score on; train: others to learn from, or None.

    quick: a look at everything in a few minutes. publishable: pages without pictures of these
    folders, which may be passed on.
    """

    data: Path
    train: Path | None = None
    seed: int = 0
    quick: bool = False
    publishable: bool = False
    place: Device = CPU

    def check(self) -> None:
        """Raises ReproduceError if there is nothing to reproduce on."""
        for folder in (self.data, self.train):
            if folder is not None and not folder.is_dir():
                raise ReproduceError(f"{folder}: there is no such folder; expected photographs")

    @cached_property
    def test(self) -> Photographs:
        """Return the pictures that are scored."""
        return Photographs.read(evenly(find([self.data]), 12 if self.quick else None))

    @cached_property
    def shown(self) -> Photographs:
        """Return the pictures that are shown: some that are scored, or photographs of the package.
        """
        if not self.publishable:
            some = np.array(evenly(range(len(self.test)), SHOWN))
            return Photographs(tuple(self.test.names[i] for i in some), self.test.pixels[some])
        ours = {f"{name}.png": photograph(name) for name in COLOURED}
        return Photographs(tuple(ours), np.stack([squared(x, SIZE) for x in ours.values()]))

    @property
    def of(self) -> str:
        """Return the source of `shown`, if its pictures are not ours to publish."""
        return "" if self.publishable else FOLDERS

    @cached_property
    def known(self) -> Photographs:
        """Return the training pictures, without those held out for `validation`."""
        return self._of(0, 300 if self.quick else None)

    @cached_property
    def validation(self) -> Photographs:
        """Return pictures of the training folder that are held out to compare short trainings."""
        return self._of(1, 12 if self.quick else None)

    def _of(self, which: int, most: int | None) -> Photographs:
        if self.train is None:
            raise MissingError("it needs --train with a folder of photographs")
        paths = split(self.train)[which]
        return Photographs.read(evenly([(p, Path(p.name)) for p in paths], most))

    @property
    def holes(self) -> Holes:
        """The paper's square in the middle."""
        return Holes("centre", SIZE, SIDE, OVERLAP)

    def masks(self, count: int, holes: Holes) -> tuple[np.ndarray, np.ndarray]:
        """Masks and corners for so many pictures, the same every time."""
        return holes.draw(count, np.random.default_rng(self.seed))


@dataclass(frozen=True)
class Weights:
    """A trained model, and what tells it from others."""

    path: Path
    filler: Filler

    @classmethod
    def load(cls, name: str, place: Device) -> Weights:
        """Weights that come along. Raises NoWeightsError."""
        path = zoo.named(name)
        return cls(path, Filler.load(path, device=place))

    def settings(self) -> dict[str, Any]:
        """Return the settings on which numbers made with this model depend, as JSON types."""
        return {"weights": self.path.stem, "check": f"{zlib.crc32(self.path.read_bytes()):08x}"}


def features(filler: Filler, pictures: np.ndarray, *, hidden: bool) -> np.ndarray:
    """Return the bottleneck's features of pictures (N, SIZE, SIZE, 3) uint8: (N, 16 C), the means
    over squares of 2 x 2 of its 8 x 8 positions. If `hidden`, it sees holes as in its training.
    """
    generator, holes = filler.generator.train(False), filler.holes
    found = []
    for start in range(0, len(pictures), TOGETHER):
        some = pictures[start : start + TOGETHER]
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
