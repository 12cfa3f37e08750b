"""A trained context encoder at work, and its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minidl import checkpoint, no_grad
from minidl.device import CPU, Array, Device, to_cpu

from . import networks
from .data import with_holes
from .masks import Holes

TOGETHER = 16  # pictures that go through the network at a time


class Filler:
    """A generator, and the kind of hole that it was trained for."""

    def __init__(self, net: str, generator: Any, holes: Holes, *, width: float = 1.0) -> None:
        self.net, self.generator, self.holes, self.width = net, generator, holes, width

    @classmethod
    def new(
        cls, net: str, mask: str, *, overlap: int, rng: np.random.Generator, width: float = 1.0
    ) -> tuple[Filler, Any]:
        """An untrained filler, and its discriminator. Raises ValueError for what does not exist."""
        architecture = networks.named(net)
        holes = Holes(mask, architecture.size, architecture.hole, overlap)
        generator, discriminator = networks.build(net, rng=rng, whole=holes.whole, width=width)
        return cls(net, generator, holes, width=width), discriminator

    def predict(self, context: Array) -> Array:
        """context (N, size, size, 3) in [-1, 1] -> what the generator gives, in use."""
        training = self.generator.training
        self.generator.train(False)
        try:
            with no_grad():
                return self.generator(context).data
        finally:
            self.generator.train(training)

    def complete(self, pixels: np.ndarray, masks: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """pixels (N, size, size, 3) in [0, 1] or uint8, with masks and corners as `Holes.draw`
        gives them -> the same in [0, 1], float32, the holes filled."""
        scale = 255 if pixels.dtype == np.uint8 else 1
        filled = pixels.astype(np.float32) / np.float32(scale)
        like = self.generator.parameters()[0].data
        for start in range(0, len(pixels), TOGETHER):
            some = slice(start, start + TOGETHER)
            batch = with_holes(pixels[some], masks[some], corners[some], self.holes)
            given = to_cpu(self.predict(np.asarray(batch.context, dtype=like.dtype, like=like)))
            height, width = given.shape[1:3]
            for i, (top, left) in enumerate(corners[some], start):
                place = slice(top, top + height), slice(left, left + width)
                hole = masks[i][place]
                filled[i][place][hole] = (given[i - start][hole] + 1) / 2
        return filled

    def about(self) -> dict[str, Any]:
        """What `load` needs besides the parameters; fit for JSON."""
        return {
            "model": "context-encoder",
            "net": self.net,
            "mask": self.holes.kind,
            "overlap": self.holes.overlap,
            "width": self.width,
        }

    def save(self, path: str | Path, *, dtype: Any = np.float32, **more: Any) -> None:
        """Write the generator's file; `more` is kept beside what `load` needs."""
        state = {k: to_cpu(v).astype(dtype) for k, v in self.generator.state().items()}
        checkpoint.save(path, {"generator": state}, {**self.about(), **more})

    @classmethod
    def load(cls, path: str | Path, *, device: Device = CPU) -> Filler:
        """From a model's file, or a run's checkpoint. Raises CheckpointError for a file that is
        missing, damaged, or of another model."""
        groups, about = checkpoint.load(path)
        if about.get("model") != "context-encoder":
            raise checkpoint.CheckpointError(
                f"{path}: holds a model of kind {about.get('model')!r}; expected 'context-encoder'"
            )
        try:
            filler, _ = cls.new(
                about["net"],
                about["mask"],
                overlap=about["overlap"],
                width=about["width"],
                rng=np.random.default_rng(0),
            )
            filler.generator.load_state(groups["generator"])
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(
                f"{path}: a damaged context-encoder checkpoint ({error})"
            ) from error
        filler.generator.to(device)
        return filler
