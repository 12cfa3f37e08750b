"""What an SSDA learns to undo: damage that is drawn anew for each batch of patches.

    Noise   x = y + sigma / 255 times standard normal noise, not clipped, as in the paper's eq. 1
    Text    x = (1 - a) y + a c: a letter's coverage a and its line's colour c, from sheets of text

Both work where the patches are, so that a GPU draws its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minidl.device import Array, Device
from models.images.corruptions import gaussian_noise, text_sheet
from models.images.patches import PatchSampler

Draw = Callable[[int, Any], tuple[Array, Array]]  # (patches, generator) -> damaged, clean (N, P)
SHEETS = 128  # sheets of text to cut from, of SHEET x SHEET pixels
SHEET = 512


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of one level, in grey levels of 255."""

    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 255:
            raise ValueError(f"noise: sigma is {self.sigma}; expected more than 0, at most 255")

    def draw_from(
        self, images: Sequence[np.ndarray], patch: int, rng: np.random.Generator, device: Device
    ) -> Draw:
        """A function that draws (damaged, clean) patches of the pictures (H, W)."""
        sampler = PatchSampler(images, patch, like=device.put(images[0]))

        def draw(n: int, rng: Any) -> tuple[Array, Array]:
            clean = sampler.sample(n, rng)
            return gaussian_noise(clean, self.sigma, rng), clean

        return draw


@dataclass(frozen=True)
class Text:
    """Text of many fonts, `smallest` to `largest` pixels high, each line black, white or grey."""

    smallest: int = 18
    largest: int = 36

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.largest:
            raise ValueError(
                f"text: heights are {self.smallest} to {self.largest}; expected the smaller first"
            )

    def draw_from(
        self, images: Sequence[np.ndarray], patch: int, rng: np.random.Generator, device: Device
    ) -> Draw:
        """A function that draws (damaged, clean) patches; rng draws the sheets of text."""
        sizes = (self.smallest, self.largest)
        sheets = [text_sheet((SHEET, SHEET), rng, sizes=sizes) for _ in range(SHEETS)]
        sampler = PatchSampler(images, patch, like=device.put(images[0]))
        letters = PatchSampler(sheets, patch, upright=True, like=device.put(sheets[0]))

        def draw(n: int, rng: Any) -> tuple[Array, Array]:
            clean, text = sampler.sample(n, rng), letters.sample(n, rng)
            return clean + text[..., 0] * (text[..., 1] - clean), clean

        return draw


Damage = Noise | Text
KINDS: dict[str, type[Noise] | type[Text]] = {"noise": Noise, "text": Text}


def as_dict(damage: Damage) -> dict[str, Any]:
    """Fit for JSON; `from_dict` is its inverse."""
    kind = next(name for name, cls in KINDS.items() if isinstance(damage, cls))
    return {"kind": kind, **asdict(damage)}


def from_dict(values: dict[str, Any]) -> Damage:
    """Raises KeyError, TypeError or ValueError for anything that `as_dict` did not give."""
    rest = {k: v for k, v in values.items() if k != "kind"}
    return KINDS[values["kind"]](**rest)
