"""The inpainter: a trained context encoder that fills holes, and its file."""

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

from .blending import blend_seam
from .data import with_holes
from .masks import PAPER_OVERLAP_WEIGHT, Holes, Kind, Overlap
from .networks import Architecture, build, by_name, channels
from .texture_transfer import transfer_texture
from .windows import Window, fill_nearest, resize, windows_of

BATCH = 16  # pictures that go through the network at a time
MAX_MASK_SHARE = 0.6  # of a picture that the mask may cover
MIN_COVERAGE = 0.02  # a pixel of a shrunk mask is hole if at least this share of it was
_UNUSED_RNG = np.random.default_rng(0)  # a hole in the centre needs no random numbers

Width = Annotated[float, Range(0, 64, above=True)]  # times the channels of a net
Progress = Callable[[int, int], None]  # called with holes (done, total)


class Inpainter:
    """A generator, and the kind of hole that it was trained for.

    flip_average: average each prediction with that for the flipped picture. More accurate,
    slightly smoother, twice the time. texture: let `inpaint` add fine texture from the most
    similar known patches.
    """

    def __init__(
        self,
        net: str,
        generator: Any,
        holes: Holes,
        *,
        width: float = 1.0,
        flip_average: bool = False,
        texture: bool = False,
    ) -> None:
        self.net, self.generator, self.holes, self.width = net, generator, holes, width
        self.flip_average, self.texture = flip_average, texture

    @classmethod
    def new(
        cls,
        net: str | Architecture,
        mask: Kind,
        *,
        overlap: int,
        rng: np.random.Generator,
        width: float = 1.0,
        overlap_weight: float = PAPER_OVERLAP_WEIGHT,
    ) -> tuple[Inpainter, Any]:
        """Return an untrained inpainter and its discriminator, for an architecture or its name.

        Raises ValueError for an unknown name or for holes that do not fit.
        """
        architecture = by_name(net) if isinstance(net, str) else net
        holes = _holes(architecture, mask, overlap, overlap_weight)
        generator, discriminator = build(
            architecture, rng=rng, full_image=holes.full_image, width=width
        )
        return cls(architecture.name, generator, holes, width=width), discriminator

    def generate(self, context: Array) -> Array:
        """context (N, size, size, 3) in [-1, 1] -> the generator's prediction, at inference."""
        training = self.generator.training
        self.generator.train(False)
        try:
            with no_grad():
                prediction = self.generator(context).data
                if self.flip_average:
                    flipped = self.generator(context[:, :, ::-1].copy()).data
                    prediction = (prediction + flipped[:, :, ::-1]) / 2
                return prediction
        finally:
            self.generator.train(training)

    def _predict(self, pixels: np.ndarray, masks: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """Return the generator's predictions for one batch, in [-1, 1], on the CPU."""
        like = self.generator.parameters()[0].data
        batch = with_holes(pixels, masks, corners, self.holes)
        return to_cpu(self.generate(np.asarray(batch.context, dtype=like.dtype, like=like)))

    def inpaint_batch(
        self, pixels: np.ndarray, masks: np.ndarray, corners: np.ndarray
    ) -> np.ndarray:
        """pixels (N, size, size, 3) in [0, 1] or uint8 -> float32 in [0, 1], with the holes filled.

        masks, corners: as `Holes.draw` returns them.
        """
        scale = 255 if pixels.dtype == np.uint8 else 1
        filled = pixels.astype(np.float32) / np.float32(scale)
        for start in range(0, len(pixels), BATCH):
            batch = slice(start, start + BATCH)
            predictions = self._predict(pixels[batch], masks[batch], corners[batch])
            height, width = predictions.shape[1:3]
            for i, (top, left) in enumerate(corners[batch], start):
                area = slice(top, top + height), slice(left, left + width)
                hole = masks[i][area]
                filled[i][area][hole] = (predictions[i - start][hole] + 1) / 2
        return filled

    def inpaint(
        self, pixels: np.ndarray, mask: np.ndarray, *, progress: Progress | None = None
    ) -> np.ndarray:
        """pixels (H, W, C) in [0, 1], mask (H, W) bool -> the picture with its holes filled, C = 1
        or 3. Pixels outside the mask do not change.

        Every hole is filled from a square of context about twice its size. Raises ValueError for a
        mask of another size, without a hole, or with too little left beside it.
        """
        check(pixels, mask)
        colour = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        # Other holes in a window get the colour nearest to them instead of an arbitrary one.
        patched = fill_nearest(colour, mask)
        filled = pixels.copy()
        todo = list(windows_of(mask, self.holes))
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            squares = self._inpaint_windows(batch, patched, mask)
            for window, square in zip(batch, squares, strict=True):
                square = np.clip(resize(square, window.side), 0, 1)
                if self.texture:
                    square = self._add_texture(square, window, patched, mask)
                window.paste(grey(square) if pixels.shape[2] == 1 else square, filled)
            if progress:
                progress(start + len(batch), len(todo))
        return filled

    def _add_texture(
        self, square: np.ndarray, window: Window, patched: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """Return a window's filling (S, S, 3) with texture from its known pixels."""
        hole = window.hole()
        picture = np.where(hole[..., None], square, window.crop(patched))
        scale = window.side / self.holes.size
        return transfer_texture(picture, hole, ~window.crop(mask), scale=scale)

    def _inpaint_windows(
        self, batch: Sequence[Window], patched: np.ndarray, mask: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield for each window its content (size, size, 3) with the hole filled."""
        size = self.holes.size
        pixels = np.stack([resize(w.crop(patched), size) for w in batch])
        missing = np.stack([_shrink(w.crop(mask), size) for w in batch])
        hidden, corners = missing, np.zeros((len(batch), 2), np.int64)
        if not self.holes.full_image:  # the network knows only the square that it was trained on
            hidden, corners = replace(self.holes, kind="centre").draw(len(batch), _UNUSED_RNG)
        predictions = (self._predict(pixels, hidden, corners) + 1) / 2
        height, width = predictions.shape[1:3]
        for i, (top, left) in enumerate(corners):
            area = slice(top, top + height), slice(left, left + width)
            square, known = pixels[i].copy(), np.zeros((size, size), bool)
            square[area], known[area] = predictions[i], ~missing[i][area]
            hole = _shrink(batch[i].hole(), size)
            yield blend_seam(square, pixels[i], hole, known)

    def about(self) -> dict[str, Any]:
        """Return what `load` needs besides the parameters, as JSON types."""
        return asdict(Description(self.net, self.holes.kind, self.holes.overlap, self.width))

    def save(self, path: str | Path, *, dtype: Any = np.float32, **more: Any) -> None:
        """Write the generator's file. more: further entries of its description."""
        state = {k: to_cpu(v).astype(dtype) for k, v in self.generator.state().items()}
        checkpoint.save(path, {"generator": state}, {**self.about(), **more})

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: Device = CPU,
        flip_average: bool = False,
        texture: bool = False,
    ) -> Inpainter:
        """Load an inpainter from a model's file or a run's checkpoint.

        Raises CheckpointError for a file that is missing, damaged, or of another model.
        """
        groups, about = load(path)
        try:
            description = schema.read_part(Description, about, "description")
            architecture = by_name(description.net)
            holes = _holes(architecture, description.mask, description.overlap)
            state = checkpoint.numbers(groups, "generator")
            generator = architecture.generator(
                channels(description.width), Zeros.for_state(state), holes.full_image
            )
            generator.load_state(state)
        except ValueError as error:
            raise _damaged(path, error) from error
        generator.to(device).freeze_weights()
        return cls(
            description.net,
            generator,
            holes,
            width=description.width,
            flip_average=flip_average,
            texture=texture,
        )


@dataclass(frozen=True)
class Description:
    """The description of the generator in a file."""

    model: Annotated[str, OneOf("context-encoder")] = field(default="context-encoder", init=False)
    net: str
    mask: Kind
    overlap: Overlap
    width: Width


def _holes(
    architecture: Architecture,
    mask: Kind,
    overlap: int,
    overlap_weight: float = PAPER_OVERLAP_WEIGHT,
) -> Holes:
    """Return the holes that an architecture is for. Raises ValueError for those that do not fit."""
    return Holes(
        mask, architecture.size, architecture.hole, overlap, overlap_weight, architecture.prefilled
    )


def _damaged(path: str | Path, error: Exception) -> checkpoint.CheckpointError:
    return checkpoint.CheckpointError(f"{path}: a damaged context-encoder checkpoint ({error})")


def load(path: str | Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """Return (groups, about) of a model's file.

    Parameters that two files share are in one of them. The other file names it in about["rest"],
    with its checksum in about["check"]. Raises CheckpointError as `Inpainter.load`.
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
    share = float(mask.mean())
    if not share:
        raise ValueError("the mask is empty, expected some white; --invert-mask turns it over")
    if share > MAX_MASK_SHARE:
        raise ValueError(
            f"the mask covers {100 * share:.0f} % of the picture, expected at most"
            f" {100 * MAX_MASK_SHARE:.0f} %; is it the wrong way round? --invert-mask turns it over"
        )


def _shrink(mask: np.ndarray, size: int) -> np.ndarray:
    """mask (S, S) -> (size, size): True for a pixel that covers any part of the mask."""
    return resize(mask[..., None].astype(np.float32), size)[..., 0] > MIN_COVERAGE
