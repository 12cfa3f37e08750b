"""The settings of a context encoder's training, and its progress."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from minidl import schema
from minidl.schema import Range

from .inpainter import Width
from .masks import RIM_WEIGHT, Kind, Overlap, Weight

Rate = Annotated[float, Range(0, 1e38, above=True)]
Share = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Settings:
    """The settings of a training; `as_dict` returns JSON types.

    adversarial: the share of the adversarial loss; 0 trains without a discriminator. The rates are
    the paper's, the generator's ten times the discriminator's; the course report has 2e-4 for both.
    rim: what the loss weighs the overlap by; the paper's is 10.
    falling: the last share of the steps, in which the generator's rate falls to 0.
    alone: the first share of the steps, in which the generator learns without an adversary.
    beta1: of the generator's Adam; the discriminator's is the paper's 0.5.
    freeze_encoder: whether the generator's way down stays as it was begun with, for nets that have
    an `encoder`.
    """

    net: str = "compact"  # of ARCHITECTURES
    mask: Kind = "centre"
    overlap: Overlap = 4
    adversarial: Annotated[float, Range(0, 1, below=True)] = 0.001
    generator_rate: Rate = 2e-3
    discriminator_rate: Rate = 2e-4
    batch: Annotated[int, Range(1, 10**5)] = 16
    width: Width = 1.0
    rim: Weight = 1.0
    falling: Share = 1.0
    alone: Share = 2 / 3
    beta1: Annotated[float, Range(0, 1, below=True)] = 0.9
    freeze_encoder: bool = False

    def __post_init__(self) -> None:
        schema.check(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


REPORT = Settings(
    net="report",
    generator_rate=2e-4,
    discriminator_rate=2e-4,
    rim=RIM_WEIGHT,
    falling=1 / 3,
    alone=0.0,
    beta1=0.5,
)


@dataclass(frozen=True)
class Progress:
    """The progress of a training in a checkpoint, and the states of its two generators of random
    numbers.
    """

    step: Annotated[int, Range(0, 10**12)]
    steps: Annotated[int, Range(1, 10**12)]
    batches: str
    dropout: str
