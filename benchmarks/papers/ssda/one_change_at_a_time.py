"""The cost of each choice that the paper leaves open: one change to a small recipe at a time.

All networks are small and are trained for the same few thousand steps. They are trained and scored
on different pictures of one folder, never on those of table 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing

from minidl.models import plots, zoo
from minidl.models.images.patches import gaussian_window, map_patches
from minidl.models.images.scores import psnr
from minidl.models.ssda import Coding, Noise, Penalty, Recipe, recipe_for, training
from minidl.models.ssda.recipes import EQUATION_6, WORKING
from minidl.models.ssda.restorer import WINDOW_SPREAD

from ..data import MissingError
from ..report.cache import ResultCache, short
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights

SIGMA = 25.0
STEPS, LBFGS_STEPS = 4000, 100  # an L-BFGS step sees 40 times as many patches
STRIDES = (1, 2, 3, 4, 6, 8, 12)
BASE = replace(WORKING, hidden=(400, 400))
STRONG_NOISE = replace(BASE, coding=recipe_for(Noise(100.0)).coding)
NO_PENALTY = (Penalty(), Penalty())


@dataclass(frozen=True)
class Choice:
    """One change of the recipe.

    If it has another level, the first choice of that level is its base.
    """

    about: str
    name: str
    recipe: Recipe = BASE
    steps: int = STEPS
    sigma: float = SIGMA
    seed: int = 0  # added to the plan's

    @property
    def key(self) -> str:
        return f"{self.about}: {self.name}"

    def settings(self) -> dict[str, Any]:
        """Return the settings on which its score depends, as JSON types."""
        return {
            "recipe": self.recipe.as_dict(),
            "steps": self.steps,
            "sigma": self.sigma,
            "seed": self.seed,
        }


def _deep(*hidden: int) -> Recipe:
    """Return a recipe of an auto-encoder for each number of hidden units.

    Each is pre-trained for a tenth of the time; the first has weak penalties.
    """
    more = len(hidden) - 1
    return replace(
        BASE,
        hidden=hidden,
        pretrain=(BASE.pretrain[0], *[Penalty()] * more),
        learning_rates=(*[BASE.learning_rates[0]] * (more + 1), BASE.learning_rates[-1]),
        shares=(*[0.1] * (more + 1), 1 - 0.1 * (more + 1)),
    )


_literal = replace(
    BASE, pretrain=(EQUATION_6, EQUATION_6), finetune=Penalty(decay=EQUATION_6.decay)
)
_lbfgs = replace(BASE, optimizer="lbfgs", batch=10_000, steps_per_batch=20)

CHOICES = (
    Choice("base", "working recipe, 400 units"),
    Choice("base", "the same from another seed", seed=1),
    Choice("patch's mean", "left in it", replace(BASE, coding=Coding(centre=None))),
    Choice("penalties", "the paper's", _literal),
    Choice("penalties", "none", replace(BASE, pretrain=NO_PENALTY)),
    Choice("pre-training", "none", replace(BASE, shares=(0.0, 0.0, 1.0))),
    Choice(
        "first weights", "Glorot's, units at 1/2", replace(BASE, gain=1.0, initial_activation=None)
    ),
    Choice("patch", "8 x 8", replace(BASE, patch=8)),
    Choice("patch", "16 x 16", replace(BASE, patch=16)),
    Choice("patch", "20 x 20", replace(BASE, patch=20)),
    Choice("units", "200", replace(BASE, hidden=(200, 200))),
    Choice("units", "800", replace(BASE, hidden=(800, 800))),
    Choice("depth", "K = 1", _deep(400)),
    Choice("depth", "K = 3", _deep(400, 400, 400)),
    Choice("optimizer", "L-BFGS, as many patches", _lbfgs, steps=LBFGS_STEPS),
    Choice("training", "half as long", steps=STEPS // 2),
    Choice("training", "twice as long", steps=2 * STEPS),
    Choice("patch, σ = 100", "16 x 16", replace(STRONG_NOISE, patch=16), sigma=100.0),
    Choice("patch, σ = 100", "8 x 8", replace(STRONG_NOISE, patch=8), sigma=100.0),
    Choice("patch, σ = 100", "12 x 12", STRONG_NOISE, sigma=100.0),
    Choice("patch, σ = 100", "20 x 20", replace(STRONG_NOISE, patch=20), sigma=100.0),
    Choice("noise, σ = 100", "not turned down", replace(BASE, patch=16), sigma=100.0),
)


def costs(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return a table and a plot of all choices, and the gain by overlap and window.

    Raises MissingError without a folder to train on, and in a quick run.
    """
    if plan.quick:
        raise MissingError("a quick run has no time for it")
    if plan.train is None:
        raise MissingError("it needs --train with a folder of photographs")
    images = training.read_folder(plan.train)
    return [*_trained(plan, cache, images), *_merged(plan, cache, images)]


def _trained(plan: Plan, cache: ResultCache, images: Sequence[np.ndarray]) -> list[Block]:
    learning, held_out = training.split(images)

    def score(choice: Choice) -> float:
        seed, damage = plan.seed + choice.seed, Noise(choice.sigma)
        trainer = training.new_trainer(
            learning, damage, choice.recipe, choice.steps, seed, plan.device
        )
        for _ in trainer.run():
            pass
        return training.Validation.of(held_out, damage).score(trainer.restorer)

    made: dict[str, float] = {}
    for choice in CHOICES:  # each has its own file, so that a new choice keeps the others' results
        pictures = training.fingerprint(images)
        settings = {"seed": plan.seed, "pictures": pictures, **choice.settings()}
        made |= cache.get_each(short(f"choice {choice.key}"), settings, {choice.key: choice}, score)
    gains = differences(made)
    rows = [
        Row(
            choice.about,
            [choice.name, f"{choice.sigma:g}", f"{made[choice.key]:.2f}"]
            + [f"{gains[choice.key]:+.2f}" if choice.key in gains else ""],
        )
        for choice in CHOICES
    ]
    path = cache.pictures / "choices.png"
    _draw(path, gains)
    other = abs(gains[CHOICES[1].key])
    last = made[CHOICES[0].key] - made["training: half as long"]
    return [
        Text(
            "The cost of each choice. The base is the working recipe in small: two auto-encoders "
            f"of {BASE.hidden[0]} units, {BASE.patch}x{BASE.patch} patches, {STEPS:,} steps of "
            f"{BASE.batch} patches; one thing is changed at a time, and everything trained for as "
            f"many steps. PSNR over {len(held_out)} pictures of the training folder that were held "
            f"out. Single runs: another seed alone moved it by {other:.2f} dB. Larger patches, "
            "wider and deeper networks need more steps than these to show what they can do."
        ),
        Table(
            "One change at a time",
            ["what", "instead", "σ", "PSNR in dB", "difference"],
            rows,
            [
                f"L-BFGS takes {LBFGS_STEPS} steps on 10,000 patches each, fresh ones every 20: as "
                "many patches as the others see.",
                f"Twice the training time, as complete runs with a schedule of their own: "
                f"{last:+.2f} dB from {STEPS // 2:,} to {STEPS:,} steps, "
                f"{gains['training: twice as long']:+.2f} dB from there to {2 * STEPS:,}.",
            ],
        ),
        Figure([(path, "")], "The same differences, in dB."),
    ]


def differences(scores: Mapping[str, float]) -> dict[str, float]:
    """Return {key: dB above the base of its level} of every choice that is not a base."""
    bases: dict[float, str] = {}
    for choice in CHOICES:
        bases.setdefault(choice.sigma, choice.key)
    return {
        choice.key: scores[choice.key] - scores[bases[choice.sigma]]
        for choice in CHOICES
        if choice.key != bases[choice.sigma]
    }


def _draw(path: Path, gains: Mapping[str, float]) -> None:
    drawing = Drawing(figsize=(7, 0.28 * len(gains) + 0.8), layout="constrained")
    axes = drawing.subplots()
    colours = ["tab:blue" if gain >= 0 else "tab:red" for gain in gains.values()]
    bars = axes.barh(list(gains), list(gains.values()), color=colours)
    axes.bar_label(bars, fmt="%+.2f", padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="dB above the base")
    axes.grid(axis="x", alpha=0.3)
    plots.save(drawing, path)


def _merged(plan: Plan, cache: ResultCache, images: Sequence[np.ndarray]) -> list[Block]:
    """Return the PSNR by overlap and window, with the included weights."""
    weights = Weights.load(zoo.denoiser(SIGMA), plan.device)
    restorer, side = weights.restorer, weights.restorer.patch
    known = Noise(restorer.damage.sigma) if isinstance(restorer.damage, Noise) else Noise(SIGMA)
    validation = training.Validation.of(training.split(images)[1], known)
    windows = {
        "Gaussian": gaussian_window(side, spread=WINDOW_SPREAD),
        "flat": np.ones((side, side), np.float32),
    }
    strides = [stride for stride in STRIDES if stride <= side]

    def score(way: tuple[str, int]) -> float:
        def repair(x: np.ndarray) -> np.ndarray:
            merged = map_patches(
                x[..., 0],
                restorer.repair_patches,
                size=side,
                stride=way[1],
                window=windows[way[0]],
            )
            return np.clip(merged, 0, 1)[..., None]

        pairs = zip(validation.clean, validation.damaged, strict=True)
        return float(np.mean([psnr(y, repair(x)) for y, x in pairs]))

    ways = {f"{window} {stride}": (window, stride) for window in windows for stride in strides}
    settings = weights.settings() | {"pictures": training.fingerprint(images)}
    made = cache.get_each("choices-merging", settings, ways, score)
    rows = [Row(w, [f"{made[f'{w} {stride}']:.2f}" for stride in strides]) for w in windows]
    return [
        Table(
            f"Merging overlapping patches, PSNR in dB, sigma {known.sigma:g}",
            ["window", *(f"stride {stride}" for stride in strides)],
            rows,
            [
                f"With the weights {weights.name}, patches of {side}x{side}, on the same held-out "
                "pictures. Half the stride takes four times as long."
            ],
        )
    ]
