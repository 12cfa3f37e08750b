"""The figures of paper 2 and of the course report, and how sharp a filling is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minidl import gradients, no_grad, optim
from minidl.models.context_encoder import losses, networks, training
from minidl.models.context_encoder.masks import MEAN_COLOUR, Kind
from minidl.models.context_encoder.scores import METHODS, hole_scores, picture_scores
from minidl.models.context_encoder.texture_transfer import textured
from minidl.models.images.files import write
from minidl.models.zoo import NoWeightsError

from ..data import MissingError
from ..report.cache import Parts
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights
from .table1 import ADVERSARIAL, PLAIN, REGION

SAMPLE = 1024  # training pictures whose fillings the critic learns from
STEPS, BATCH, RATE = 800, 16, 5e-4  # of the critic


def three_rows(plan: Plan, parts: Parts) -> list[Block]:
    """Original, masked and filled, for each kind of hole, as in the report."""
    shown, blocks = plan.shown, list[Block]()
    kinds: dict[Kind, str] = {"centre": ADVERSARIAL, "block": REGION, "region": REGION}
    for kind, stem in kinds.items():
        try:
            weights = Weights.load(stem, plan.place)
        except NoWeightsError as reason:
            blocks.append(Text(f"Left out, {kind}: {reason}."))
            continue
        filler = weights.filler
        masks, corners = plan.masks(len(shown), replace(filler.holes, kind=kind))
        filled = filler.complete(shown.pixels, masks, corners)
        damaged = np.where(masks[..., None], MEAN_COLOUR, shown.clean)
        path = parts.pictures / f"rows-{kind}.png"
        write(path, training.grid([shown.clean, damaged, filled]))
        rows = zip(shown.clean, filled, masks, strict=True)
        mean = statistics.mean(picture_scores(x, y, mask)["psnr"] for x, y, mask in rows)
        words = f"{kind}: original, masked, filled ({stem}; {mean:.2f} dB over these holes)"
        blocks.append(Figure([(path, "")], words[0].upper() + words[1:] + ".", of=plan.of))
    return blocks


def methods_side_by_side(plan: Plan, parts: Parts) -> list[Block]:
    """The same holes by every method, in rows."""
    shown = plan.shown
    masks, corners = plan.masks(len(shown), plan.holes)
    clean = shown.clean
    rows = {"original": clean, "masked": np.where(masks[..., None], MEAN_COLOUR, clean)}
    for name in ("membrane", "Telea", "biharmonic"):
        if name in METHODS:
            pairs = zip(clean, masks, strict=True)
            rows[name] = np.stack([METHODS[name](x, mask) for x, mask in pairs])
    for name, stem in (("reconstruction only", PLAIN), ("and adversarial", ADVERSARIAL)):
        try:
            filler = Weights.load(stem, plan.place).filler
        except NoWeightsError:
            continue
        rows[name] = filler.complete(shown.pixels, masks, corners)
    if "and adversarial" in rows:
        pairs = zip(rows["and adversarial"], masks, strict=True)
        rows["and texture of similar patches"] = np.stack(
            [textured(picture, mask, ~mask) for picture, mask in pairs]
        )
    path = parts.pictures / "methods.png"
    write(path, training.grid(list(rows.values())))
    return [Figure([(path, "")], f"From top to bottom: {', '.join(rows)}.", of=plan.of)]


# --- sharpness ------------------------------------------------------------------------------------


def gradient_energy(pictures: np.ndarray, masks: np.ndarray) -> float:
    """The mean of the squared differences between neighbours that both lie in the hole."""
    across = np.square(np.diff(pictures, axis=2))[masks[:, :, 1:] & masks[:, :, :-1]]
    down = np.square(np.diff(pictures, axis=1))[masks[:, 1:] & masks[:, :-1]]
    return float((across.sum() + down.sum()) / (across.size + down.size))


def sharpness(plan: Plan, parts: Parts) -> list[Block]:
    """Show the gain and the cost of the adversarial loss."""
    models = {
        "reconstruction only": Weights.load(PLAIN, plan.place),
        "reconstruction + adversarial": Weights.load(ADVERSARIAL, plan.place),
    }
    test = plan.test

    def measure() -> dict[str, dict[str, float]]:
        masks, corners = plan.masks(len(test), plan.holes)
        filled = {n: w.filler.complete(test.pixels, masks, corners) for n, w in models.items()}
        name = "reconstruction + adversarial"
        pairs = zip(filled[name], masks, strict=True)
        filled[f"{name}, texture"] = np.stack([textured(x, mask, ~mask) for x, mask in pairs])
        truth = gradient_energy(test.clean, masks)
        found = {}
        for name, pictures in {"truth": test.clean, **filled}.items():
            found[name] = {
                "energy": 100 * gradient_energy(pictures, masks) / truth,
                "psnr": float(hole_scores(test.clean, pictures, masks)["psnr"]),
            }
        try:
            judged = critic(plan, models, {"truth": test.clean, **filled})
        except MissingError:
            judged = {}
        return {n: row | {"critic": judged.get(n, float("nan"))} for n, row in found.items()}

    settings: dict[str, Any] = {n: w.settings() for n, w in models.items()}
    settings |= {"test": test.check, "steps": critic_steps(plan), "seed": plan.seed}
    if plan.train is not None:
        settings["train"] = plan.known.check
    found = parts.one("sharpness", settings, measure)
    rows = [
        Row(
            name,
            [
                f"{row['energy']:.1f}",
                "-" if np.isnan(row["critic"]) else f"{row['critic']:.1f}",
                "-" if name == "truth" else f"{row['psnr']:.2f}",
            ],
        )
        for name, row in found.items()
    ]
    return [
        Text(
            "Gradient energy is the mean squared difference between neighbouring pixels within the "
            "hole, in percent of the truth's. The critic is a new discriminator, trained after the "
            "event on training photographs to tell patches of real squares from those that both "
            "models fill in, half of each; its score is the mean probability of being real that it "
            "gives to those of the photographs scored here, in percent. It never saw texture that "
            "was put in afterwards, so that its score for that tells of sharpness alone."
        ),
        Table(
            "Sharpness, and its price",
            ["filled by", "gradient energy %", "critic's score %", "PSNR dB over the hole"],
            rows,
        ),
    ]


def critic_steps(plan: Plan) -> int:
    return 20 if plan.quick else STEPS


def critic(
    plan: Plan, models: Mapping[str, Weights], shown: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """{name: the mean probability in percent that its squares are real}, by a new discriminator."""
    rng = np.random.default_rng(plan.seed)
    known = plan.known.pixels
    known = known[rng.permutation(len(known))[:SAMPLE]]
    masks, corners = plan.masks(len(known), plan.holes)
    fakes = [_squares(w.filler.complete(known, masks, corners)) for w in models.values()]
    real = _squares(known / np.float32(255))
    network = networks.build("compact", rng=rng)[1]
    adam = optim.Adam(network.parameters(), lr=RATE, beta1=0.5)
    steps = critic_steps(plan)
    for step in range(steps):
        adam.lr = optim.warmup_cosine(RATE, step, steps)
        which, other = rng.integers(0, len(real), (2, BATCH))
        fake = np.concatenate([f[other[i :: len(fakes)]] for i, f in enumerate(fakes)])
        loss = losses.discriminator(network(real[which]), network(fake))
        adam.step(gradients(loss, network.parameters()))
    network.train(False)
    found = {}
    with no_grad():
        for name, pictures in shown.items():
            logits = np.concatenate(
                [network(_squares(pictures[i : i + 32])).data for i in range(0, len(pictures), 32)]
            )
            found[name] = 100 * float((1 / (1 + np.exp(-logits))).mean())
    return found


def _squares(pictures: np.ndarray) -> np.ndarray:
    """The middle (N, 64, 64, 3) of pictures in [0, 1], in [-1, 1]."""
    quarter = pictures.shape[1] // 4
    return 2 * pictures[:, quarter : 3 * quarter, quarter : 3 * quarter] - np.float32(1)
