"""The settings of a context encoder's training, and its progress."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from minidl import schema
from minidl.schema import Range

from .inpainter import Width
from .masks import PAPER_OVERLAP_WEIGHT, Kind, Overlap, Weight

Rate = Annotated[float, Range(0, 1e38, above=True)]
Share = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Settings:
    """The settings of a training; `as_dict` returns JSON types.

    adversarial: the share of the adversarial loss; 0 trains without a discriminator.
    generator_rate, discriminator_rate: learning rates. The paper's generator learns ten times as
        fast as its discriminator; the course report has 2e-4 for both.
    overlap_weight: the weight of the overlap in the reconstruction loss; the paper's is 10.
    decay_share: the last share of the steps, in which the generator's rate falls to 0.
    warmup_share: the first share of the steps, in which the generator learns without an adversary.
    beta1: of the generator's Adam; the discriminator's is the paper's 0.5.
    freeze_encoder: keep the encoder's weights as they are at the start; for nets with an `encoder`.
    """

    net: str = "compact"  # a name in ARCHITECTURES
    mask: Kind = "centre"
    overlap: Overlap = 4
    adversarial: Annotated[float, Range(0, 1, below=True)] = 0.001
    generator_rate: Rate = 2e-3
    discriminator_rate: Rate = 2e-4
    batch: Annotated[int, Range(1, 10**5)] = 16
    width: Width = 1.0
    overlap_weight: Weight = 1.0
    decay_share: Share = 1.0
    warmup_share: Share = 2 / 3
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
    overlap_weight=PAPER_OVERLAP_WEIGHT,
    decay_share=1 / 3,
    warmup_share=0.0,
    beta1=0.5,
)


@dataclass(frozen=True)
class Progress:
    """The progress of a training in a checkpoint, and the states of its two random generators."""

    step: Annotated[int, Range(0, 10**12)]
    steps: Annotated[int, Range(1, 10**12)]
    batches: str
    dropout: str
