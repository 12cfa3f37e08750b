"""A trained context encoder at work, and its file."""

from __future__ import annotations

import os
import reprlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from minidl import checkpoint, no_grad, schema
from minidl.device import CPU, Array, Device, to_cpu
from minidl.models.images.samples import grey
from minidl.nn.init import Zeros
from minidl.schema import OneOf, Range

from . import networks, windows
from .data import with_holes
from .masks import RIM_WEIGHT, Holes, Kind, Overlap
from .texture_transfer import textured

TOGETHER = 16  # pictures that go through the network at a time
MOST = 0.6  # of a picture that may be missing
_NO_CHANCE = np.random.default_rng(0)  # a square in the centre leaves nothing to it

Width = Annotated[float, Range(0, 64, above=True)]  # times the channels of a net
Progress = Callable[[int, int], None]  # called with holes (done, total)


class Filler:
    """A generator, and the kind of hole that it was trained for.

    mirror: whether a filling is the mean with that of the mirrored picture, turned back: nearer to
    the truth and a little smoother, in twice the time. texture: whether `fill` adds fine texture
    from the most similar known patches. Both are False from the start.
    """

    mirror: bool = False
    texture: bool = False

    def __init__(self, net: str, generator: Any, holes: Holes, *, width: float = 1.0) -> None:
        self.net, self.generator, self.holes, self.width = net, generator, holes, width

    @classmethod
    def new(
        cls,
        net: str,
        mask: Kind,
        *,
        overlap: int,
        rng: np.random.Generator,
        width: float = 1.0,
        rim: float = RIM_WEIGHT,
    ) -> tuple[Filler, Any]:
        """An untrained filler, and its discriminator. Raises ValueError for what does not exist."""
        holes = _holes(net, mask, overlap, rim)
        generator, discriminator = networks.build(net, rng=rng, whole=holes.whole, width=width)
        return cls(net, generator, holes, width=width), discriminator

    def predict(self, context: Array) -> Array:
        """context (N, size, size, 3) in [-1, 1] -> what the generator gives, in use."""
        training = self.generator.training
        self.generator.train(False)
        try:
            with no_grad():
                given = self.generator(context).data
                if self.mirror:
                    turned = self.generator(context[:, :, ::-1].copy()).data
                    given = (given + turned[:, :, ::-1]) / 2
                return given
        finally:
            self.generator.train(training)

    def _give(self, pixels: np.ndarray, masks: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """Return the generator's output for a few pictures, in [-1, 1], on the CPU."""
        like = self.generator.parameters()[0].data
        batch = with_holes(pixels, masks, corners, self.holes)
        return to_cpu(self.predict(np.asarray(batch.context, dtype=like.dtype, like=like)))

    def complete(self, pixels: np.ndarray, masks: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """pixels (N, size, size, 3) in [0, 1] or uint8, with masks and corners as `Holes.draw`
        gives them -> the same in [0, 1], float32, the holes filled."""
        scale = 255 if pixels.dtype == np.uint8 else 1
        filled = pixels.astype(np.float32) / np.float32(scale)
        for start in range(0, len(pixels), TOGETHER):
            some = slice(start, start + TOGETHER)
            given = self._give(pixels[some], masks[some], corners[some])
            height, width = given.shape[1:3]
            for i, (top, left) in enumerate(corners[some], start):
                place = slice(top, top + height), slice(left, left + width)
                hole = masks[i][place]
                filled[i][place][hole] = (given[i - start][hole] + 1) / 2
        return filled

    def fill(
        self, pixels: np.ndarray, mask: np.ndarray, *, progress: Progress | None = None
    ) -> np.ndarray:
        """pixels (H, W, C) in [0, 1], mask (H, W) bool -> the picture with its holes filled, C = 1
        or 3. Pixels outside the mask stay as they are, bit for bit.

        Every hole is filled from a square of context about twice its size. Raises ValueError for a
        mask of another size, without a hole, or with too little left beside it.
        """
        check(pixels, mask)
        colour = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        # Other holes in a square no longer have a foreign colour.
        patched = windows.spread(colour, mask)
        filled = pixels.copy()
        todo = list(windows.windows(mask, self.holes))
        for start in range(0, len(todo), TOGETHER):
            some = todo[start : start + TOGETHER]
            for window, square in zip(some, self._squares(some, patched, mask), strict=True):
                square = np.clip(windows.scaled(square, window.side), 0, 1)
                if self.texture:
                    square = self._textured(square, window, patched, mask)
                window.paste(grey(square) if pixels.shape[2] == 1 else square, filled)
            if progress:
                progress(start + len(some), len(todo))
        return filled

    def _textured(
        self, square: np.ndarray, window: windows.Window, patched: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """A window's filling (S, S, 3) with texture from what is known in the window."""
        hole = window.hole()
        picture = np.where(hole[..., None], square, window.cut(patched))
        scale = window.side / self.holes.size
        return textured(picture, hole, ~window.cut(mask), scale=scale)

    def _squares(
        self, batch: Sequence[windows.Window], patched: np.ndarray, mask: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield for each window its content (size, size, 3) with the hole filled."""
        size = self.holes.size
        pixels = np.stack([windows.scaled(w.cut(patched), size) for w in batch])
        missing = np.stack([_shrunk(w.cut(mask), size) for w in batch])
        hidden, corners = missing, np.zeros((len(batch), 2), np.int64)
        if not self.holes.whole:  # such a network knows no other hole than the square it learned
            hidden, corners = replace(self.holes, kind="centre").draw(len(batch), _NO_CHANCE)
        given = (self._give(pixels, hidden, corners) + 1) / 2
        height, width = given.shape[1:3]
        for i, (top, left) in enumerate(corners):
            place = slice(top, top + height), slice(left, left + width)
            square, known = pixels[i].copy(), np.zeros((size, size), bool)
            square[place], known[place] = given[i], ~missing[i][place]
            own = _shrunk(batch[i].hole(), size)
            yield windows.fitted(square, pixels[i], own, known)

    def about(self) -> dict[str, Any]:
        """Return what `load` needs besides the parameters, as JSON types."""
        return asdict(Description(self.net, self.holes.kind, self.holes.overlap, self.width))

    def save(self, path: str | Path, *, dtype: Any = np.float32, **more: Any) -> None:
        """Write the generator's file; `more` is kept beside what `load` needs."""
        state = {k: to_cpu(v).astype(dtype) for k, v in self.generator.state().items()}
        checkpoint.save(path, {"generator": state}, {**self.about(), **more})

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: Device = CPU,
        mirror: bool = False,
        texture: bool = False,
    ) -> Filler:
        """From a model's file, or a run's checkpoint. Raises CheckpointError for a file that is
        missing, damaged, or of another model."""
        groups, about = load(path)
        try:
            said = schema.read_part(Description, about, "description")
            holes = _holes(said.net, said.mask, said.overlap)
            state = checkpoint.numbers(groups, "generator")
            generator = networks.named(said.net).generator(
                networks.channels(said.width), Zeros.for_state(state), holes.whole
            )
            generator.load_state(state)
        except ValueError as error:
            raise _damaged(path, error) from error
        generator.to(device).freeze_weights()
        filler = cls(said.net, generator, holes, width=said.width)
        filler.mirror, filler.texture = mirror, texture
        return filler


@dataclass(frozen=True)
class Description:
    """The description of the generator in a file."""

    model: Annotated[str, OneOf("context-encoder")] = field(default="context-encoder", init=False)
    net: str
    mask: Kind
    overlap: Overlap
    width: Width


def _holes(net: str, mask: Kind, overlap: int, rim: float = RIM_WEIGHT) -> Holes:
    """The holes that a net is for. Raises ValueError for what does not exist."""
    architecture = networks.named(net)
    return Holes(mask, architecture.size, architecture.hole, overlap, rim, architecture.bridged)


def _damaged(path: str | Path, error: Exception) -> checkpoint.CheckpointError:
    return checkpoint.CheckpointError(f"{path}: a damaged context-encoder checkpoint ({error})")


def load(path: str | Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """(groups, about) of a model's file. What its generator shares with that of another file beside
    it may be there alone: about["rest"] is then that file's name, and about["check"] tells whether
    it is still the same. Raises CheckpointError as `Filler.load`.
    """
    groups, about = checkpoint.load(path)
    if about.get("model") != "context-encoder":
        raise checkpoint.CheckpointError(
            f"{path}: holds a model of kind {reprlib.repr(about.get('model'))}; "
            "expected 'context-encoder'"
        )
    if "rest" in about:
        other = Path(path).parent / Path(str(about["rest"])).name
        if not os.path.isfile(other) or checksum(other) != about.get("check"):
            raise checkpoint.CheckpointError(
                f"{path}: the rest of its parameters are those of {other.name}; expected that "
                "file, unchanged, beside it"
            )
        shared, _ = checkpoint.load(other)
        try:
            both = {
                **checkpoint.numbers(shared, "generator"),
                **checkpoint.numbers(groups, "generator"),
            }
        except ValueError as error:
            raise _damaged(path, error) from error
        groups["generator"] = both
    return groups, about


def checksum(path: Path) -> str:
    """Return the checksum of a file."""
    return f"{zlib.crc32(path.read_bytes()):08x}"


def check(pixels: np.ndarray, mask: np.ndarray) -> None:
    """Raise ValueError unless the mask (H, W) leaves enough of pixels (H, W, C) to fill it from."""
    if mask.dtype != bool or mask.shape != pixels.shape[:2]:
        raise ValueError(
            f"mask is {mask.dtype} {mask.shape}, expected bool {pixels.shape[:2]}, as the picture"
        )
    part = float(mask.mean())
    if not part:
        raise ValueError("the mask is empty, expected some white; --invert-mask turns it over")
    if part > MOST:
        raise ValueError(
            f"the mask covers {100 * part:.0f} % of the picture, expected at most"
            f" {100 * MOST:.0f} %; is it the wrong way round? --invert-mask turns it over"
        )


def _shrunk(mask: np.ndarray, size: int) -> np.ndarray:
    """mask (S, S) -> (size, size): True wherever some of it was."""
    return windows.scaled(mask[..., None].astype(np.float32), size)[..., 0] > 0.02
