"""Recipes to train an SSDA: one that works, the paper taken literally, and misreadings of it.

The paper gives beta, rho, lambda, K = 2, hidden layers of five times the input, and L-BFGS. It does
not give the size of a patch, how many there are, how long to train, how to begin, or how pixels are
scaled.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from minidl import schema
from minidl.schema import OneOf, Range

from .degradation import Damage, Text
from .network import SSDA, Penalty
from .patch_coding import Coding, TextCoding
from .restorer import Hidden, Patch, Restorer

Part = Annotated[float | None, Range(0, 1, above=True, below=True)]
Renewal = Annotated[int, Range(0, 10**9)]
Rate = Annotated[float, Range(0, 1e38, above=True)]


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on, besides the pictures, the seed and its length."""

    patch: Patch = 12  # pixels to a side
    hidden: Hidden = (720, 720)  # units of each auto-encoder's hidden layer; K of them
    gain: Annotated[float, Range(0, 1e3)] = 4.0  # of the encoders' first weights
    start: Part = 0.05  # the activation that hidden units begin at; None: zero biases, 1/2
    coding: Coding | TextCoding = field(default_factory=Coding)
    pretrain: tuple[Penalty, ...] = (Penalty(beta=1e-2, decay=1e-5), Penalty())  # one for each DA
    finetune: Penalty = field(default_factory=Penalty)
    optimizer: Annotated[str, OneOf("adam", "lbfgs")] = "adam"
    rates: tuple[Rate, ...] = (2e-3, 2e-3, 4e-3)  # Adam's, for each DA and for fine-tuning
    shares: tuple[Annotated[float, Range(0, 1)], ...] = (0.1, 0.1, 0.8)  # of the training time
    batch: Annotated[int, Range(1, 10**7)] = 256  # patches
    renew: Renewal = 1  # steps on a batch before fresh patches with fresh noise are drawn; 0: all

    def __post_init__(self) -> None:
        schema.check(self)
        stages = len(self.hidden) + 1
        if not len(self.pretrain) + 1 == len(self.rates) == len(self.shares) == stages:
            raise ValueError(
                f"recipe: {stages - 1} hidden layers need as many penalties, and one more rate and "
                f"share; got {len(self.pretrain)}, {len(self.rates)} and {len(self.shares)}"
            )

    def untrained(self, damage: Damage, rng: np.random.Generator) -> Restorer:
        """A model of this recipe with its first weights."""
        inputs, outputs = self.coding.sizes(self.patch * self.patch)
        network = SSDA(inputs, self.hidden, outputs, rng=rng, gain=self.gain, rho=self.start)
        return Restorer(network, self.patch, self.coding, damage)

    def as_dict(self) -> dict[str, Any]:
        """Fit for JSON; `Recipe.from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Recipe:
        """Raises SchemaError for anything that `as_dict` did not give."""
        recipe: Recipe = schema.read(cls, values, "recipe")
        return recipe


WORKING = Recipe()
# Letters are wide, so much must be in view; but of the middle alone all is seen that tells it.
TEXT = replace(
    WORKING,
    patch=20,
    hidden=(576, 576),
    coding=TextCoding(inner=6),
    pretrain=(Penalty(beta=1e-3, decay=1e-6), Penalty()),
    shares=(0.05, 0.05, 0.9),
)

LOUD = 50.0  # grey levels; louder noise is turned down to it, else the first layer is saturated


def recipe_for(damage: Damage) -> Recipe:
    """The recipe that works against a kind of damage.

    Turning noise down brought 0.13 dB at sigma 100, nothing at 50 (4,000 steps, held-out pictures).
    """
    if isinstance(damage, Text):
        return TEXT
    coding = replace(WORKING.coding, gain=WORKING.coding.gain * min(1.0, LOUD / damage.sigma))
    return replace(WORKING, coding=coding)


EQUATION_6 = Penalty(beta=1e-2, rho=0.05, decay=1e-4)  # as the paper has them
PAPER = Recipe(
    hidden=(5 * 144, 5 * 144),
    gain=1.0,
    start=None,
    coding=Coding(centre=None),
    pretrain=(EQUATION_6, EQUATION_6),
    finetune=Penalty(decay=1e-4),
    optimizer="lbfgs",
    batch=10_000,
    renew=0,
)

# What "mse" means in Keras: 72 times weaker on 144 pixels.
_misread = replace(EQUATION_6, error="mean")
NAIVE = replace(
    PAPER,
    pretrain=(_misread, _misread),
    finetune=Penalty(error="mean", decay=1e-4),
    optimizer="adam",
    batch=256,
    renew=1,
)

RECIPES = {"working": WORKING, "text": TEXT, "paper": PAPER, "naive": NAIVE}
