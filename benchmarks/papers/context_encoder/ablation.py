"""The effect of each part of the recipe: short trainings that differ in one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minidl import Tensor
from minidl.device import Array
from minidl.models.context_encoder import Settings, Trainer, networks, training
from minidl.models.context_encoder.data import MARGIN, Photographs, split
from minidl.models.context_encoder.global_local import GlobalLocalTrainer
from minidl.models.context_encoder.masks import MEAN_COLOUR
from minidl.models.context_encoder.scores import hole_scores
from minidl.models.images.files import evenly, write

from ..data import MissingError
from ..report.cache import Parts
from ..report.page import Block, Figure, Row, Table, Text
from .figures import gradient_energy
from .plan import FOLDERS, Plan

SHOWN = 8
NO_MIXING = "compact without its channel-wise layers"
NO_LINKS = "compact without links"
NO_MEMBRANE = "compact without a membrane"
NEITHER = "compact without a membrane or links"
BASE = Settings(width=0.5, alone=0.5)


@dataclass(frozen=True)
class Variant:
    """Settings, and the trainer that they are for."""

    settings: Settings
    trainer: type[Trainer] = Trainer


VARIANTS: dict[str, Variant] = {
    "base": Variant(BASE),
    "no adversary": Variant(replace(BASE, adversarial=0.0)),
    "adversarial weight 0.01": Variant(replace(BASE, adversarial=0.01)),
    "adversarial weight 0.1": Variant(replace(BASE, adversarial=0.1)),
    "rim weighs 10": Variant(replace(BASE, rim=10.0)),
    "no rim": Variant(replace(BASE, rim=0.0)),
    "both rates 2e-4": Variant(replace(BASE, generator_rate=2e-4)),
    "both rates 2e-3": Variant(replace(BASE, discriminator_rate=2e-3)),
    "no channel-wise layer": Variant(replace(BASE, net=NO_MIXING)),
    "no links": Variant(replace(BASE, net=NO_LINKS)),
    "the hole of one colour": Variant(replace(BASE, net=NO_MEMBRANE)),
    "global and local critics": Variant(BASE, GlobalLocalTrainer),
}
SAID = {
    "base": "rim 1, adversarial weight 0.001 in the second half, rates 2e-3 and 2e-4",
    "global and local critics": "weight 0.001, as the base; Iizuka et al. 2017",
}


class Painting(networks.CompactGenerator):
    """The compact generator, which paints instead of correcting."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return self.added(x)


COMPACT = networks.ARCHITECTURES["compact"]
networks.ARCHITECTURES |= {
    NO_MIXING: replace(COMPACT, generator=partial(networks.CompactGenerator, blocks=0)),
    NO_LINKS: replace(COMPACT, generator=partial(networks.CompactGenerator, linked=False)),
    NO_MEMBRANE: replace(COMPACT, generator=Painting, bridged=False),
    NEITHER: replace(COMPACT, generator=partial(Painting, linked=False), bridged=False),
}


def steps(plan: Plan) -> int:
    return 12 if plan.quick else 500


def ablated(plan: Plan, parts: Parts) -> list[Block]:
    """A row and a picture for each variant."""
    if plan.train is None:
        raise MissingError("it needs --train with a folder of photographs")
    variants = dict(list(VARIANTS.items())[:: 5 if plan.quick else 1])
    batch = 4 if plan.quick else BASE.batch
    training = evenly(split(plan.train)[0], 100 if plan.quick else None)
    photographs: list[Photographs] = []

    def learn(name: str) -> dict[str, Any]:
        if not photographs:
            photographs.append(Photographs(training, 128 + 128 // MARGIN))
        settings = replace(VARIANTS[name].settings, batch=batch)
        trainer = VARIANTS[name].trainer(
            settings,
            photographs[0],
            steps=steps(plan),
            rng=np.random.default_rng(plan.seed),
            device=plan.place,
        )
        for _ in trainer.run():
            pass
        return _measured(plan, parts, name, trainer)

    made = parts.each("ablation", _settings(plan, batch), {n: n for n in variants}, learn)
    rows = [
        Row(
            f"{name} ({SAID[name]})" if name in SAID else name,
            [
                f"{row['l1']:.2f}",
                f"{row['l2']:.2f}",
                f"{row['psnr']:.2f}",
                f"{row['psnr'] - made['base']['psnr']:+.2f}",
                f"{row['energy']:.1f}",
                "-" if row["right"] is None else f"{row['right']:.0f}",
            ],
        )
        for name, row in made.items()
    ]
    pictures = [(parts.pictures / row["pictures"][0], name) for name, row in made.items()]
    return [
        Text(
            f"The compact net at half its width, each time {steps(plan)} steps of {batch} "
            "photographs from the same beginning, the generator alone for the first half; scored "
            f"on {len(plan.validation)} pictures of the training folder that were held out. So "
            "short trainings show what matters early; differences below 0.1 dB mean nothing."
        ),
        Table(
            "The recipe changed in one thing",
            [
                "",
                "L1 %",
                "L2 %",
                "PSNR dB",
                "against base",
                "gradient energy %",
                "discriminator right %",
            ],
            rows,
        ),
        Figure(pictures, "Original, masked and filled by each.", across=2, of=FOLDERS),
    ]


def _settings(plan: Plan, batch: int) -> dict[str, Any]:
    return {
        "variants": {
            name: {"trainer": variant.trainer.__name__, **variant.settings.as_dict()}
            for name, variant in VARIANTS.items()
        },
        "train": plan.known.check,
        "steps": steps(plan),
        "batch": batch,
        "seed": plan.seed,
        "validation": plan.validation.check,
    }


def _measured(plan: Plan, parts: Parts, name: str, trainer: Trainer) -> dict[str, Any]:
    held_out, filler = plan.validation, trainer.filler
    masks, corners = plan.masks(len(held_out), plan.holes)
    filled = filler.complete(held_out.pixels, masks, corners)
    scores = {k: float(v) for k, v in hole_scores(held_out.clean, filled, masks).items()}
    some = np.array(evenly(range(len(held_out)), SHOWN))
    clean = held_out.clean
    damaged = np.where(masks[..., None], MEAN_COLOUR, clean)
    file = f"ablation-{name.replace(' ', '-')}.png"
    write(parts.pictures / file, training.grid([clean[some], damaged[some], filled[some]]))
    measured = trainer.mean_losses()
    right = 50 * (measured.d_real + measured.d_fake)
    energy = 100 * gradient_energy(filled, masks) / gradient_energy(clean, masks)
    return scores | {
        "energy": energy,
        "right": None if np.isnan(right) else right,
        "pictures": [file],
    }
