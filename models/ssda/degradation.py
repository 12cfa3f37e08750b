"""The degradations that an SSDA learns to remove, drawn again for each batch of patches.

    Noise   x = y + sigma / 255 times standard normal noise, not clipped, as in the paper's eq. 1
    Text    x = (1 - a) y + a c: a letter's coverage a and its line's colour c, from sheets of text

Both work where the patches are, so that a GPU draws its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np

from minidl import schema
from minidl.device import Array, Device
from minidl.models.images.corruptions import gaussian_noise, text_sheet
from minidl.models.images.patches import PatchSampler
from minidl.schema import OneOf, Range

Draw = Callable[[int, Any], tuple[Array, Array]]  # (patches, generator) -> damaged, clean (N, P)
SHEET_COUNT = 128  # sheets of text, from which patches are drawn
SHEET_SIDE = 512  # pixels


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of one level, in grey levels of 255."""

    kind: Annotated[str, OneOf("noise")] = field(default="noise", init=False, repr=False)
    sigma: Annotated[float, Range(0, 255, above=True)]

    def __post_init__(self) -> None:
        schema.check(self)

    def draw_from(
        self, images: Sequence[np.ndarray], patch: int, rng: np.random.Generator, device: Device
    ) -> Draw:
        """Return a function that draws (damaged, clean) patches of the pictures (H, W)."""
        sampler = PatchSampler(images, patch, like=device.put(images[0]))

        def draw(n: int, rng: Any) -> tuple[Array, Array]:
            clean = sampler.sample(n, rng)
            return gaussian_noise(clean, self.sigma, rng), clean

        return draw


@dataclass(frozen=True)
class Text:
    """Text of many fonts, `smallest` to `largest` pixels high, each line black, white or grey."""

    kind: Annotated[str, OneOf("text")] = field(default="text", init=False, repr=False)
    smallest: Annotated[int, Range(1, 512)] = 18
    largest: Annotated[int, Range(1, 512)] = 36

    def __post_init__(self) -> None:
        schema.check(self)
        if self.smallest > self.largest:
            raise ValueError(
                f"text: heights are {self.smallest} to {self.largest}; expected the smaller first"
            )

    def draw_from(
        self, images: Sequence[np.ndarray], patch: int, rng: np.random.Generator, device: Device
    ) -> Draw:
        """Return a function that draws (damaged, clean) patches; rng draws the sheets of text."""
        sizes = (self.smallest, self.largest)
        sheets = [
            text_sheet((SHEET_SIDE, SHEET_SIDE), rng, sizes=sizes) for _ in range(SHEET_COUNT)
        ]
        sampler = PatchSampler(images, patch, like=device.put(images[0]))
        letters = PatchSampler(sheets, patch, upright=True, like=device.put(sheets[0]))

        def draw(n: int, rng: Any) -> tuple[Array, Array]:
            clean, text = sampler.sample(n, rng), letters.sample(n, rng)
            return clean + text[..., 0] * (text[..., 1] - clean), clean

        return draw


Damage = Noise | Text


def as_dict(damage: Damage) -> dict[str, Any]:
    """Return the damage as JSON types; `from_dict` is the inverse."""
    return asdict(damage)


def from_dict(values: Any) -> Damage:
    """Return the damage of JSON types. Raises SchemaError if `as_dict` did not return them."""
    return schema.read(Damage, values, "damage")
