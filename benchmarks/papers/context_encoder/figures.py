"""The figures of paper 2 and of the course report, and the sharpness of fillings."""

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
from minidl.models.context_encoder.texture_transfer import transfer_texture
from minidl.models.images.files import write
from minidl.models.zoo import NoWeightsError

from ..data import MissingError
from ..report.cache import ResultCache
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights
from .table1 import ADVERSARIAL, PLAIN, REGION

CRITIC_PICTURES = 1024  # training pictures, from whose fillings the critic learns
CRITIC_STEPS, CRITIC_BATCH, CRITIC_RATE = 800, 16, 5e-4


def three_rows(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return original, masked and filled pictures for each kind of hole, as in the report."""
    shown, blocks = plan.examples, list[Block]()
    kinds: dict[Kind, str] = {"centre": ADVERSARIAL, "block": REGION, "region": REGION}
    for kind, stem in kinds.items():
        try:
            weights = Weights.load(stem, plan.device)
        except NoWeightsError as reason:
            blocks.append(Text(f"Left out, {kind}: {reason}."))
            continue
        inpainter = weights.inpainter
        masks, corners = plan.masks(len(shown), replace(inpainter.holes, kind=kind))
        filled = inpainter.inpaint_batch(shown.pixels, masks, corners)
        damaged = np.where(masks[..., None], MEAN_COLOUR, shown.clean)
        path = cache.pictures / f"rows-{kind}.png"
        write(path, training.grid([shown.clean, damaged, filled]))
        rows = zip(shown.clean, filled, masks, strict=True)
        mean = statistics.mean(picture_scores(x, y, mask)["psnr"] for x, y, mask in rows)
        words = f"{kind}: original, masked, filled ({stem}; {mean:.2f} dB over these holes)"
        blocks.append(Figure([(path, "")], words[0].upper() + words[1:] + ".", owner=plan.owner))
    return blocks


def methods_side_by_side(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the same holes filled by every method, in rows."""
    shown = plan.examples
    masks, corners = plan.masks(len(shown), plan.holes)
    clean = shown.clean
    rows = {"original": clean, "masked": np.where(masks[..., None], MEAN_COLOUR, clean)}
    for name in ("membrane", "Telea", "biharmonic"):
        if name in METHODS:
            pairs = zip(clean, masks, strict=True)
            rows[name] = np.stack([METHODS[name](x, mask) for x, mask in pairs])
    for name, stem in (("reconstruction only", PLAIN), ("and adversarial", ADVERSARIAL)):
        try:
            inpainter = Weights.load(stem, plan.device).inpainter
        except NoWeightsError:
            continue
        rows[name] = inpainter.inpaint_batch(shown.pixels, masks, corners)
    if "and adversarial" in rows:
        pairs = zip(rows["and adversarial"], masks, strict=True)
        rows["and texture of similar patches"] = np.stack(
            [transfer_texture(picture, mask, ~mask) for picture, mask in pairs]
        )
    path = cache.pictures / "methods.png"
    write(path, training.grid(list(rows.values())))
    return [Figure([(path, "")], f"From top to bottom: {', '.join(rows)}.", owner=plan.owner)]


# --- sharpness ------------------------------------------------------------------------------------


def gradient_energy(pictures: np.ndarray, masks: np.ndarray) -> float:
    """Return the mean squared difference between neighbours that both lie in the hole."""
    across = np.square(np.diff(pictures, axis=2))[masks[:, :, 1:] & masks[:, :, :-1]]
    down = np.square(np.diff(pictures, axis=1))[masks[:, 1:] & masks[:, :-1]]
    return float((across.sum() + down.sum()) / (across.size + down.size))


def sharpness(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return the gain and the cost of the adversarial loss."""
    models = {
        "reconstruction only": Weights.load(PLAIN, plan.device),
        "reconstruction + adversarial": Weights.load(ADVERSARIAL, plan.device),
    }
    test = plan.test

    def measure() -> dict[str, dict[str, float]]:
        masks, corners = plan.masks(len(test), plan.holes)
        filled = {
            n: w.inpainter.inpaint_batch(test.pixels, masks, corners) for n, w in models.items()
        }
        name = "reconstruction + adversarial"
        pairs = zip(filled[name], masks, strict=True)
        filled[f"{name}, texture"] = np.stack(
            [transfer_texture(x, mask, ~mask) for x, mask in pairs]
        )
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
        settings["train"] = plan.training.check
    found = cache.get_one("sharpness", settings, measure)
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
    return 20 if plan.quick else CRITIC_STEPS


def critic(
    plan: Plan, models: Mapping[str, Weights], shown: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return {name: mean probability of real in percent} by a newly trained discriminator."""
    rng = np.random.default_rng(plan.seed)
    known = plan.training.pixels
    known = known[rng.permutation(len(known))[:CRITIC_PICTURES]]
    masks, corners = plan.masks(len(known), plan.holes)
    fakes = [_squares(w.inpainter.inpaint_batch(known, masks, corners)) for w in models.values()]
    real = _squares(known / np.float32(255))
    network = networks.build("compact", rng=rng)[1]
    adam = optim.Adam(network.parameters(), lr=CRITIC_RATE, beta1=0.5)
    steps = critic_steps(plan)
    for step in range(steps):
        adam.lr = optim.warmup_cosine(CRITIC_RATE, step, steps)
        which, other = rng.integers(0, len(real), (2, CRITIC_BATCH))
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
    """Return the middle (N, 64, 64, 3) of pictures in [0, 1], in [-1, 1]."""
    quarter = pictures.shape[1] // 4
    return 2 * pictures[:, quarter : 3 * quarter, quarter : 3 * quarter] - np.float32(1)
