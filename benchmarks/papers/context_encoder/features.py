"""Do features that were learned by filling holes know what a picture shows? (section 5.2)

A linear classifier is trained on the bottleneck's features; labels are used there alone. Random
weights and an auto-encoder, which has nothing to fill in, stand beside the context encoder.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.models.context_encoder import Filler, Settings, Trainer
from minidl.models.context_encoder.data import MARGIN, Batch, Photographs, split
from minidl.models.context_encoder.trainer import Losses
from minidl.models.images.files import evenly

from ..data import MissingError
from ..report.cache import Parts
from ..report.page import Block, Row, Table, Text
from .ablation import NEITHER
from .plan import Plan, Weights, features
from .table1 import ADVERSARIAL

LABELLED = 2000  # training pictures for the classifier
CONSTANTS = (1e-4, 1e-3, 1e-2, 1e-1)  # of the classifier; chosen on a fifth of the labelled ones
PLAIN = Settings(net=NEITHER, adversarial=0.0)  # an auto-encoder would copy the middle by either


class AutoEncoderTrainer(Trainer):
    """The same network, shown the whole picture: it learns to give back the middle."""

    def take_step(self, batch: Batch, share: float) -> Losses:
        context, side = batch.context.copy(), batch.target.shape[1]
        start = (context.shape[1] - side) // 2
        context[:, start : start + side, start : start + side] = batch.target
        return super().take_step(Batch(context, batch.target, batch.weight), share)


@dataclass(frozen=True)
class Described:
    """A description of the pictures by features; their middle may be hidden from it."""

    trainer: type[Trainer] | None
    steps: int
    hidden: bool


def labels(plan: Plan, parts: Parts) -> list[Block]:
    """Percent of the pictures whose kind a linear classifier names."""
    if plan.train is None:
        raise MissingError("it needs --train with a folder of photographs")
    if not importlib.util.find_spec("sklearn"):
        raise MissingError("it needs scikit-learn, pip install 'minidl[compare]'")
    kinds = sorted(set(plan.known.kinds))
    if len(kinds) < 2 or len(kinds) > 20:
        raise MissingError("names of files tell no kinds (kind_number.jpg)")
    steps = 5 if plan.quick else 500
    rows = {
        "random weights": Described(Trainer, 0, True),
        "random weights, nothing hidden": Described(Trainer, 0, False),
        f"auto-encoder, {steps} steps, nothing hidden": Described(AutoEncoderTrainer, steps, False),
        f"context encoder, {steps} steps": Described(Trainer, steps, True),
        f"the weights {ADVERSARIAL}": Described(None, 0, True),
    }
    settings = {
        "steps": steps,
        "test": plan.test.check,
        "train": plan.known.check,
        "seed": plan.seed,
        "weights": Weights.load(ADVERSARIAL, plan.place).settings(),
    }
    made = parts.each("labels", settings, rows, lambda row: _accuracy(plan, row))
    most = max(float((plan.test.kinds == kind).mean()) for kind in kinds)
    table = [Row("the commonest kind, always", [f"{100 * most:.1f}"])]
    table += [Row(name, [f"{value:.1f}"]) for name, value in made.items()]
    return [
        Text(
            f"Kinds: {', '.join(kinds)}. The features are the bottleneck's, averaged to 4 x 4 "
            "places; the classifier is a logistic regression on "
            f"{min(LABELLED, len(plan.known))} labelled training photographs, its penalty chosen "
            f"on a fifth of them; scored on {len(plan.test)} others. The networks never saw a "
            "label. Where nothing is hidden, the features see a quarter more of the picture. The "
            "short trainings are of the compact net without membrane and links, which the weights "
            "have."
        ),
        Table("Kinds named rightly by a linear classifier", ["features", "accuracy %"], table),
    ]


def _accuracy(plan: Plan, row: Described) -> float:
    known, kinds = plan.known, plan.known.kinds
    chosen = np.random.default_rng(plan.seed).permutation(len(known))[:LABELLED]
    filler = _filler(plan, row)
    x = features(filler, known.pixels[chosen], hidden=row.hidden)
    others = features(filler, plan.test.pixels, hidden=row.hidden)
    return classified(x, kinds[chosen], others, plan.test.kinds)


def _filler(plan: Plan, row: Described) -> Filler:
    if row.trainer is None:
        return Weights.load(ADVERSARIAL, plan.place).filler
    assert plan.train is not None
    paths = evenly(split(plan.train)[0], 100 if plan.quick else None)
    trainer = row.trainer(
        replace(PLAIN, batch=4) if plan.quick else PLAIN,
        Photographs(paths, 128 + 128 // MARGIN),
        steps=max(1, row.steps),
        rng=np.random.default_rng(plan.seed),
        device=plan.place,
    )
    if row.steps:
        for _ in trainer.run():
            pass
    return trainer.filler


def classified(x: np.ndarray, y: np.ndarray, others: np.ndarray, truth: np.ndarray) -> float:
    """Percent of `others` (M, F) that a linear classifier trained on x (N, F), y (N,) names as in
    `truth` (M,)."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, others = (x - mean) / deviation, (others - mean) / deviation
    cut = 4 * len(x) // 5

    def fitted(count: int, constant: float) -> Any:
        return LogisticRegression(C=constant, max_iter=2000).fit(x[:count], y[:count])

    best = max(CONSTANTS, key=lambda c: (fitted(cut, c).predict(x[cut:]) == y[cut:]).mean())
    return 100 * float((fitted(len(x), best).predict(others) == truth).mean())
