"""Recipes to train an SSDA: one that works, the paper taken literally, and a misreading of it.

The paper gives beta, rho, lambda, K = 2, hidden layers of five times the input, and L-BFGS. It does
not give the size and the number of patches, the length of the training, the first weights, or the
scale of the pixels.
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

Activation = Annotated[float | None, Range(0, 1, above=True, below=True)]
StepsPerBatch = Annotated[int, Range(0, 10**9)]
Rate = Annotated[float, Range(0, 1e38, above=True)]


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on, besides the pictures, the seed and its length."""

    patch: Patch = 12  # pixels to a side
    hidden: Hidden = (720, 720)  # units of each auto-encoder's hidden layer; K of them
    gain: Annotated[float, Range(0, 1e3)] = 4.0  # of the encoders' first weights
    initial_activation: Activation = 0.05  # of hidden units; None: zero biases, which give 1/2
    coding: Coding | TextCoding = field(default_factory=Coding)
    pretrain: tuple[Penalty, ...] = (Penalty(beta=1e-2, decay=1e-5), Penalty())  # one for each DA
    finetune: Penalty = field(default_factory=Penalty)
    optimizer: Annotated[str, OneOf("adam", "lbfgs")] = "adam"
    learning_rates: tuple[Rate, ...] = (2e-3, 2e-3, 4e-3)  # Adam's, for each DA and for fine-tuning
    shares: tuple[Annotated[float, Range(0, 1)], ...] = (0.1, 0.1, 0.8)  # of the training time
    batch: Annotated[int, Range(1, 10**7)] = 256  # patches
    steps_per_batch: StepsPerBatch = 1  # until fresh patches and noise are drawn; 0: never

    def __post_init__(self) -> None:
        schema.check(self)
        stages = len(self.hidden) + 1
        if not len(self.pretrain) + 1 == len(self.learning_rates) == len(self.shares) == stages:
            raise ValueError(
                f"recipe: {stages - 1} hidden layers need as many penalties, and one more rate and "
                f"share; got {len(self.pretrain)}, {len(self.learning_rates)} and "
                f"{len(self.shares)}"
            )

    def untrained(self, damage: Damage, rng: np.random.Generator) -> Restorer:
        """Return a model of this recipe with its first weights."""
        inputs, outputs = self.coding.sizes(self.patch * self.patch)
        network = SSDA(
            inputs, self.hidden, outputs, rng=rng, gain=self.gain, rho=self.initial_activation
        )
        return Restorer(network, self.patch, self.coding, damage)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON types; `Recipe.from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Recipe:
        """Return the recipe of JSON types. Raises SchemaError if `as_dict` did not return them."""
        recipe: Recipe = schema.read(cls, values, "recipe")
        return recipe


WORKING = Recipe()
# Letters are wide, so a patch must be large. Only its middle is seen with enough context.
TEXT = replace(
    WORKING,
    patch=20,
    hidden=(576, 576),
    coding=TextCoding(inner=6),
    pretrain=(Penalty(beta=1e-3, decay=1e-6), Penalty()),
    shares=(0.05, 0.05, 0.9),
)

SATURATING_SIGMA = 50.0  # grey levels; stronger noise is scaled down, or it saturates units


def recipe_for(damage: Damage) -> Recipe:
    """Return the recipe that works against a kind of damage.

    Scaling strong noise down brought 0.13 dB at sigma 100 and nothing at 50 (4,000 steps, held-out
    pictures).
    """
    if isinstance(damage, Text):
        return TEXT
    scale = min(1.0, SATURATING_SIGMA / damage.sigma)
    return replace(WORKING, coding=replace(WORKING.coding, gain=scale * WORKING.coding.gain))


EQUATION_6 = Penalty(beta=1e-2, rho=0.05, decay=1e-4)  # as the paper has them
PAPER = Recipe(
    hidden=(5 * 144, 5 * 144),
    gain=1.0,
    initial_activation=None,
    coding=Coding(centre=None),
    pretrain=(EQUATION_6, EQUATION_6),
    finetune=Penalty(decay=1e-4),
    optimizer="lbfgs",
    batch=10_000,
    steps_per_batch=0,
)

# The "mse" of Keras: 72 times weaker on 144 pixels.
_misread = replace(EQUATION_6, error="mean")
NAIVE = replace(
    PAPER,
    pretrain=(_misread, _misread),
    finetune=Penalty(error="mean", decay=1e-4),
    optimizer="adam",
    batch=256,
    steps_per_batch=1,
)

RECIPES = {"working": WORKING, "text": TEXT, "paper": PAPER, "naive": NAIVE}
