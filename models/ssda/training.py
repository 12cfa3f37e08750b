"""A whole training run of an SSDA: from a folder of pictures to a folder with the trained model."""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from minidl import device
from minidl.device import Device
from minidl.models import plots
from minidl.models.images.corruptions import add_text, gaussian_noise
from minidl.models.images.files import PictureError, find, read
from minidl.models.images.samples import grey
from minidl.models.images.scores import psnr
from minidl.models.terminal import shown
from minidl.models.training import loop
from minidl.models.training.run_folder import Run, TrainingError
from minidl.schema import OneOf, Range

from .degradation import Damage, Noise
from .recipes import Recipe
from .restorer import Restorer
from .trainer import Trainer

VALIDATION_SHARE = 20  # one picture in so many is kept for validation, at most VALIDATION_COUNT
VALIDATION_COUNT = 20
VALIDATION_SIDE = 192  # pixels; the centre of each is used
VALIDATION_STRIDE = 4
MOST_PIXELS = 500 * 10**6  # to train on, 8 bytes each; 399 photographs of BSDS500 have 62
TRIAL_SECONDS = 1.0  # spent on each stage to learn how long a step takes
COLUMNS = {"step": int, "seconds": float, "stage": str, "loss": float, "rate": float, "psnr": float}


@dataclass(frozen=True)
class Config:
    """A run's config.json."""

    model: Annotated[str, OneOf("ssda")] = field(default="ssda", init=False)
    data: str  # where the pictures came from
    pictures: str  # their fingerprint
    damage: Damage
    recipe: Recipe
    seed: Annotated[int, Range(0, math.inf)]
    steps: Annotated[int, Range(1, 10**12)]
    device: str  # where the run began


@dataclass(frozen=True)
class Validation:
    """Clean pictures (H, W, 1) that are never trained on, and the same with fixed damage."""

    clean: list[np.ndarray]
    damaged: list[np.ndarray]

    @classmethod
    def of(cls, images: Sequence[np.ndarray], damage: Damage) -> Validation:
        clean = [_centre(image)[..., None] for image in images]
        damaged = [spoil(c, damage, np.random.default_rng(i)) for i, c in enumerate(clean)]
        return cls(clean, damaged)

    def score(self, restorer: Restorer) -> float:
        """Mean PSNR in dB of the repaired pictures."""
        repaired = [restorer.repair(d, stride=VALIDATION_STRIDE) for d in self.damaged]
        return float(np.mean([psnr(c, r) for c, r in zip(self.clean, repaired, strict=True)]))


@dataclass(frozen=True)
class Training:
    """A trainer of an SSDA, and what a report shows of it."""

    trainer: Trainer
    validation: Validation

    def measure(self) -> dict[str, Any]:
        score = self.validation.score(self.trainer.restorer)
        return {
            "stage": self.trainer.phase,
            "loss": self.trainer.mean_loss(),
            "rate": self.trainer.rate,
            "psnr": round(score, 3),
        }

    def describe(self, row: Mapping[str, Any]) -> str:
        return f"{row['stage']}, loss {row['loss']:.4g}, validation {row['psnr']:.2f} dB"

    def draw(self, run: Run) -> None:
        restorer, validation = self.trainer.restorer, self.validation
        plots.filters(run.folder / "filters.png", restorer.filters())
        plots.curves(
            run.folder / "curves.png",
            run.column("seconds") / 60,
            {
                "loss": {"training": run.column("loss")},
                "validation PSNR (dB)": {"ours": run.column("psnr")},
            },
            x_label="minutes",
            logarithmic=["loss"],
        )
        rows = [
            {
                "clean": clean,
                f"damaged, {psnr(clean, damaged):.2f} dB": damaged,
                f"repaired, {psnr(clean, repaired):.2f} dB": repaired,
            }
            for clean, damaged, repaired in (
                (c, d, restorer.repair(d, stride=VALIDATION_STRIDE))
                for c, d in list(zip(validation.clean, validation.damaged, strict=True))[:3]
            )
        ]
        plots.side_by_side(run.folder / "samples.png", rows)

    def save(self, path: Path, **about: Any) -> None:
        self.trainer.restorer.save(path, **about)


def spoil(pixels: np.ndarray, damage: Damage, rng: np.random.Generator) -> np.ndarray:
    """pixels (H, W, C) with the damage laid over the whole picture."""
    if isinstance(damage, Noise):
        return gaussian_noise(pixels, damage.sigma, rng)
    return add_text(pixels, rng, sizes=(damage.smallest, damage.largest))[0]


def read_folder(folder: str | Path) -> list[np.ndarray]:
    """All pictures of a folder as grey (H, W); what cannot be read is told and passed over.

    Raises PictureError if none can, or if they are too many for memory.
    """
    images, pixels = [], 0
    for path, _ in find([folder]):
        try:
            images.append(grey(read(path).pixels)[..., 0])
        except PictureError as error:
            print(f"passed over: {shown(error)}", file=sys.stderr)
            continue
        pixels += images[-1].size
        if pixels > MOST_PIXELS:
            raise PictureError(
                f"{folder}: its pictures have more than {MOST_PIXELS // 10**6} million pixels "
                "together; expected fewer, scale them down or give some of them"
            )
    if not images:
        raise PictureError(f"{folder}: none of its pictures can be read; expected photographs")
    return images


def usable(images: Sequence[np.ndarray], patch: int, data: str = "") -> list[np.ndarray]:
    """The pictures that hold a patch. Raises TrainingError, which names `data`, if none does."""
    large = [image for image in images if min(image.shape) >= patch]
    if not large:
        raise TrainingError(
            f"{data or 'data'}: none of {len(images)} pictures is at least {patch} x {patch} "
            "pixels; give larger ones, or a smaller --patch"
        )
    return large


def split(images: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(training, validation) pictures; a single picture has to be both."""
    every = max(VALIDATION_SHARE, -(-len(images) // VALIDATION_COUNT))
    held_out = range(len(images) - 1, -1, -every)
    training = [image for i, image in enumerate(images) if i not in held_out]
    return training or list(images), [images[i] for i in held_out]


def steps_in(minutes: float, make: Callable[[int], Trainer]) -> int:
    """Return the number of steps that fit into these minutes, by timing a few of each stage."""
    trial = make(60)
    clock: dict[str, list[float]] = {}
    for stage in trial.run():
        times = clock.setdefault(stage.name, [])
        trial.device.synchronize()
        times.append(time.perf_counter())
        if len(times) > 2 and times[-1] - times[0] > TRIAL_SECONDS:
            trial.step = stage.steps  # enough is known of this one
    seconds = sum(
        share * float(np.median(np.diff(times)))
        for share, times in zip(trial.recipe.shares, clock.values(), strict=True)
        if len(times) > 1
    )
    return max(len(trial.stages), int(0.95 * 60 * minutes / max(seconds, 1e-6)))  # 5 % for reports


def start(
    out: str | Path,
    images: Sequence[np.ndarray],
    *,
    damage: Damage,
    recipe: Recipe,
    seed: int = 0,
    steps: int | None = None,
    minutes: float = 30.0,
    data: str = "",
    place: Device = device.CPU,
    every: float = 60.0,
    quiet: bool = False,
) -> Restorer:
    """Train in a new folder `out`; `steps` in all, or as many as fit into `minutes`.

    images: grey (H, W). data: where they came from, for `resume`. every: seconds between reports.
    """
    learning, held_out = split(usable(images, recipe.patch, data))

    def make(count: int) -> Trainer:
        return new_trainer(learning, damage, recipe, count, seed, place)

    steps = steps or steps_in(minutes, make)
    config = Config(data, fingerprint(images), damage, recipe, seed, steps, place.name)

    def training_of() -> Training:
        return Training(make(steps), Validation.of(held_out, damage))

    training = loop.start(out, asdict(config), training_of, loop.Reports(every, quiet))
    return training.trainer.restorer


def resume(
    out: str | Path,
    images_of: Callable[[str], Sequence[np.ndarray]],
    *,
    place: Device | None = None,
    every: float = 60.0,
    quiet: bool = False,
) -> Restorer:
    """Go on with the run in `out` as if it had not stopped.

    images_of: the pictures of the `data` that it began with. place: where, if not where the run
    began; exact there alone.
    """

    def training_of(config: Config) -> Training:
        images = images_of(config.data)
        if fingerprint(images) != config.pictures:
            raise TrainingError(
                f"{out}: the pictures of {config.data!r} have changed since the run began"
            )
        learning, held_out = split(usable(images, config.recipe.patch, config.data))
        trainer = new_trainer(
            learning,
            config.damage,
            config.recipe,
            config.steps,
            config.seed,
            place or device.choose(config.device),
        )
        return Training(trainer, Validation.of(held_out, config.damage))

    training = loop.resume(out, Config, COLUMNS, training_of, loop.Reports(every, quiet))
    return training.trainer.restorer


def fingerprint(images: Sequence[np.ndarray]) -> str:
    """A short text that changes with any pixel of the pictures."""
    check = 0
    for image in images:
        check = zlib.crc32(np.ascontiguousarray(image).tobytes(), check)
    return f"{len(images)} pictures, {check:08x}"


def new_trainer(
    images: Sequence[np.ndarray],
    damage: Damage,
    recipe: Recipe,
    steps: int,
    seed: int,
    place: Device,
) -> Trainer:
    """A trainer of pictures (H, W) at its first step; all its chance comes from the seed."""
    rng = np.random.default_rng(seed)
    restorer = recipe.untrained(damage, rng)
    restorer.network.to(place)
    draw = damage.draw_from(images, recipe.patch, rng, place)
    return Trainer(restorer, recipe, draw, steps=steps, rng=rng, device=place)


def _centre(image: np.ndarray) -> np.ndarray:
    top, left = (max(0, (n - VALIDATION_SIDE) // 2) for n in image.shape)
    return image[top : top + VALIDATION_SIDE, left : left + VALIDATION_SIDE]
