"""The features of a context encoder as inputs of a classifier (section 5.2).

A linear classifier is trained on the bottleneck's features; only this step uses labels. Random
weights and an auto-encoder, whose input has no hole, are compared with the context encoder.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.models.context_encoder import Inpainter, Settings, Trainer
from minidl.models.context_encoder.data import MARGIN_DIVISOR, Batch, Photographs, split
from minidl.models.context_encoder.trainer import Losses
from minidl.models.images.files import subsample

from ..data import MissingError
from ..report.cache import ResultCache
from ..report.page import Block, Row, Table, Text
from .ablation import NEITHER
from .plan import Plan, Weights, features
from .table1 import ADVERSARIAL

LABELLED_PICTURES = 2000  # to train the classifier
CONSTANTS = (1e-4, 1e-3, 1e-2, 1e-1)  # of the classifier; the best on a fifth is chosen
PLAIN = Settings(adversarial=0.0)


class AutoEncoderTrainer(Trainer):
    """A trainer without holes: the network sees the full image and predicts its middle."""

    def take_step(self, batch: Batch, share: float) -> Losses:
        context, side = batch.context.copy(), batch.target.shape[1]
        start = (context.shape[1] - side) // 2
        context[:, start : start + side, start : start + side] = batch.target
        return super().take_step(Batch(context, batch.target, batch.weight), share)


@dataclass(frozen=True)
class FeatureSource:
    """A source of features: its trainer, if any, its steps; hidden: it sees pictures with holes."""

    trainer: type[Trainer] | None
    steps: int
    hidden: bool


def labels(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the accuracies of linear classifiers in percent."""
    if plan.train is None:
        raise MissingError("it needs --train with a folder of photographs")
    if not importlib.util.find_spec("sklearn"):
        raise MissingError("it needs scikit-learn, pip install 'minidl[compare]'")
    kinds = sorted(set(plan.training.kinds))
    if len(kinds) < 2 or len(kinds) > 20:
        raise MissingError("names of files tell no kinds (kind_number.jpg)")
    steps = 5 if plan.quick else 500
    rows = {
        "random weights": FeatureSource(Trainer, 0, True),
        "random weights, nothing hidden": FeatureSource(Trainer, 0, False),
        f"auto-encoder, {steps} steps, nothing hidden": FeatureSource(
            AutoEncoderTrainer, steps, False
        ),
        f"context encoder, {steps} steps": FeatureSource(Trainer, steps, True),
        f"the weights {ADVERSARIAL}": FeatureSource(None, 0, True),
    }
    settings = {
        "steps": steps,
        "test": plan.test.check,
        "train": plan.training.check,
        "seed": plan.seed,
        "weights": Weights.load(ADVERSARIAL, plan.device).settings(),
    }
    made = cache.get_each("labels", settings, rows, lambda row: _score(plan, row))
    commonest = max(float((plan.test.kinds == kind).mean()) for kind in kinds)
    table = [Row("the commonest kind, always", [f"{100 * commonest:.1f}"])]
    table += [Row(name, [f"{value:.1f}"]) for name, value in made.items()]
    return [
        Text(
            f"Kinds: {', '.join(kinds)}. The features are the bottleneck's, averaged to 4 x 4 "
            "places; the classifier is a logistic regression on "
            f"{min(LABELLED_PICTURES, len(plan.training))} labelled training photographs, its "
            f"penalty chosen on a fifth of them; scored on {len(plan.test)} others. The networks "
            "never saw a label. Where nothing is hidden, the features see a quarter more of the "
            "picture. The short trainings are of the compact net without membrane and links, which "
            "the weights have."
        ),
        Table("Kinds named rightly by a linear classifier", ["features", "accuracy %"], table),
    ]


def _score(plan: Plan, row: FeatureSource) -> float:
    known, kinds = plan.training, plan.training.kinds
    chosen = np.random.default_rng(plan.seed).permutation(len(known))[:LABELLED_PICTURES]
    inpainter = _inpainter(plan, row)
    x = features(inpainter, known.pixels[chosen], hidden=row.hidden)
    others = features(inpainter, plan.test.pixels, hidden=row.hidden)
    return accuracy(x, kinds[chosen], others, plan.test.kinds)


def _inpainter(plan: Plan, row: FeatureSource) -> Inpainter:
    if row.trainer is None:
        return Weights.load(ADVERSARIAL, plan.device).inpainter
    assert plan.train is not None
    paths = subsample(split(plan.train)[0], 100 if plan.quick else None)
    trainer = row.trainer(
        replace(PLAIN, batch=4) if plan.quick else PLAIN,
        Photographs(paths, 128 + 128 // MARGIN_DIVISOR),
        steps=max(1, row.steps),
        rng=np.random.default_rng(plan.seed),
        device=plan.device,
        architecture=NEITHER,  # with a prefilled hole or skip connections it would copy the middle
    )
    if row.steps:
        for _ in trainer.run():
            pass
    return trainer.inpainter


def accuracy(x: np.ndarray, y: np.ndarray, others: np.ndarray, truth: np.ndarray) -> float:
    """Return the accuracy in percent, on `others` (M, F) with labels `truth` (M,), of a linear
    classifier trained on x (N, F), y (N,).
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, others = (x - mean) / deviation, (others - mean) / deviation
    cut = 4 * len(x) // 5

    def fit(count: int, constant: float) -> Any:
        return LogisticRegression(C=constant, max_iter=2000).fit(x[:count], y[:count])

    best = max(CONSTANTS, key=lambda c: (fit(cut, c).predict(x[cut:]) == y[cut:]).mean())
    return 100 * float((fit(len(x), best).predict(others) == truth).mean())
