"""The effect of each part of the recipe: short trainings that differ in one setting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minidl import Tensor
from minidl.device import Array
from minidl.models.context_encoder import Settings, Trainer, networks, training
from minidl.models.context_encoder.data import MARGIN_DIVISOR, Photographs, split
from minidl.models.context_encoder.global_local import GlobalLocalTrainer
from minidl.models.context_encoder.masks import MEAN_COLOUR
from minidl.models.context_encoder.scores import hole_scores
from minidl.models.images.files import subsample, write

from ..data import MissingError
from ..report.cache import ResultCache
from ..report.page import Block, Figure, Row, Table, Text
from .figures import gradient_energy
from .plan import FOLDERS, Plan

SHOWN_PICTURES = 8
BASE = Settings(width=0.5, warmup_share=0.5)


class Painting(networks.CompactGenerator):
    """The compact generator without the sum: it predicts pixels, not a correction."""

    def forward(self, x: Tensor | Array) -> Tensor:
        return self.added(x)


NO_MIXING = replace(
    networks.COMPACT,
    name="compact without its channel-wise layers",
    generator=partial(networks.CompactGenerator, blocks=0),
)
NO_SKIP_CONNECTIONS = replace(
    networks.COMPACT,
    name="compact without skip connections",
    generator=partial(networks.CompactGenerator, skip_connections=False),
)
NOT_PREFILLED = replace(
    networks.COMPACT,
    name="compact without prefilled holes",
    generator=Painting,
    prefilled=False,
)
NEITHER = replace(
    NOT_PREFILLED,
    name="compact without prefilled holes or skip connections",
    generator=partial(Painting, skip_connections=False),
)


@dataclass(frozen=True)
class Variant:
    """Settings, and the trainer and the architecture that they are for."""

    settings: Settings
    trainer: type[Trainer] = Trainer
    architecture: networks.Architecture = networks.COMPACT


VARIANTS: dict[str, Variant] = {
    "base": Variant(BASE),
    "no adversary": Variant(replace(BASE, adversarial=0.0)),
    "adversarial weight 0.01": Variant(replace(BASE, adversarial=0.01)),
    "adversarial weight 0.1": Variant(replace(BASE, adversarial=0.1)),
    "rim weighs 10": Variant(replace(BASE, overlap_weight=10.0)),
    "no rim": Variant(replace(BASE, overlap_weight=0.0)),
    "both rates 2e-4": Variant(replace(BASE, generator_rate=2e-4)),
    "both rates 2e-3": Variant(replace(BASE, discriminator_rate=2e-3)),
    "no channel-wise layer": Variant(BASE, architecture=NO_MIXING),
    "no links": Variant(BASE, architecture=NO_SKIP_CONNECTIONS),
    "the hole of one colour": Variant(BASE, architecture=NOT_PREFILLED),
    "global and local critics": Variant(BASE, GlobalLocalTrainer),
}
DETAILS = {
    "base": "rim 1, adversarial weight 0.001 in the second half, rates 2e-3 and 2e-4",
    "global and local critics": "weight 0.001, as the base; Iizuka et al. 2017",
}


def steps(plan: Plan) -> int:
    return 12 if plan.quick else 500


def ablated(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return a row and a picture for each variant."""
    if plan.train is None:
        raise MissingError("it needs --train with a folder of photographs")
    variants = dict(list(VARIANTS.items())[:: 5 if plan.quick else 1])
    batch = 4 if plan.quick else BASE.batch
    training = subsample(split(plan.train)[0], 100 if plan.quick else None)
    photographs: list[Photographs] = []

    def learn(name: str) -> dict[str, Any]:
        if not photographs:
            photographs.append(Photographs(training, 128 + 128 // MARGIN_DIVISOR))
        settings = replace(VARIANTS[name].settings, batch=batch)
        trainer = VARIANTS[name].trainer(
            settings,
            photographs[0],
            steps=steps(plan),
            rng=np.random.default_rng(plan.seed),
            device=plan.device,
            architecture=VARIANTS[name].architecture,
        )
        for _ in trainer.run():
            pass
        return _measure(plan, cache, name, trainer)

    made = cache.get_each("ablation", _settings(plan, batch), {n: n for n in variants}, learn)
    rows = [
        Row(
            f"{name} ({DETAILS[name]})" if name in DETAILS else name,
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
    pictures = [(cache.pictures / row["pictures"][0], name) for name, row in made.items()]
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
        Figure(pictures, "Original, masked and filled by each.", across=2, owner=FOLDERS),
    ]


def _settings(plan: Plan, batch: int) -> dict[str, Any]:
    return {
        "variants": {
            name: {
                "trainer": variant.trainer.__name__,
                "architecture": variant.architecture.name,
                **variant.settings.as_dict(),
            }
            for name, variant in VARIANTS.items()
        },
        "train": plan.training.check,
        "steps": steps(plan),
        "batch": batch,
        "seed": plan.seed,
        "validation": plan.validation.check,
    }


def _measure(plan: Plan, cache: ResultCache, name: str, trainer: Trainer) -> dict[str, Any]:
    held_out, inpainter = plan.validation, trainer.inpainter
    masks, corners = plan.masks(len(held_out), plan.holes)
    filled = inpainter.inpaint_batch(held_out.pixels, masks, corners)
    scores = {k: float(v) for k, v in hole_scores(held_out.clean, filled, masks).items()}
    which = np.array(subsample(range(len(held_out)), SHOWN_PICTURES))
    clean = held_out.clean
    damaged = np.where(masks[..., None], MEAN_COLOUR, clean)
    file = f"ablation-{name.replace(' ', '-')}.png"
    write(cache.pictures / file, training.grid([clean[which], damaged[which], filled[which]]))
    measured = trainer.mean_losses()
    correct = 50 * (measured.d_real + measured.d_fake)
    energy = 100 * gradient_energy(filled, masks) / gradient_energy(clean, masks)
    return scores | {
        "energy": energy,
        "right": None if np.isnan(correct) else correct,
        "pictures": [file],
    }
