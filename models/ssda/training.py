"""A training run of an SSDA: from a folder of pictures to a folder with the trained model."""

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

from minidl.device import CPU, Device, choose
from minidl.models import plots
from minidl.models.images.corruptions import add_text, gaussian_noise
from minidl.models.images.files import PictureError, find, read
from minidl.models.images.samples import grey
from minidl.models.images.scores import psnr
from minidl.models.terminal import printable
from minidl.models.training import loop
from minidl.models.training.hold_out import hold_out
from minidl.models.training.run_folder import Run, TrainingError
from minidl.schema import OneOf, Range

from .degradation import Damage, Noise
from .recipes import Recipe
from .restorer import Restorer
from .trainer import Trainer

VALIDATION_SHARE = 20  # one of 20 pictures is held out for validation, at most VALIDATION_COUNT
VALIDATION_COUNT = 20
VALIDATION_SIDE = 192  # pixels; the centre of each is used
VALIDATION_STRIDE = 4
MAX_PIXELS = 500 * 10**6  # to train on, 8 bytes each; 399 photographs of BSDS500 have 62 million
TRIAL_SECONDS = 1.0  # for each stage, to time a step
COLUMNS = {"step": int, "seconds": float, "stage": str, "loss": float, "rate": float, "psnr": float}


@dataclass(frozen=True)
class Config:
    """A run's config.json."""

    model: Annotated[str, OneOf("ssda")] = field(default="ssda", init=False)
    data: str  # the folder of the pictures
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
        damaged = [degrade(c, damage, np.random.default_rng(i)) for i, c in enumerate(clean)]
        return cls(clean, damaged)

    def score(self, restorer: Restorer) -> float:
        """Return the mean PSNR of the repaired pictures in dB."""
        repaired = [restorer.repair(d, stride=VALIDATION_STRIDE) for d in self.damaged]
        return float(np.mean([psnr(c, r) for c, r in zip(self.clean, repaired, strict=True)]))


@dataclass(frozen=True)
class Training:
    """A trainer of an SSDA, and its reports."""

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


def degrade(pixels: np.ndarray, damage: Damage, rng: np.random.Generator) -> np.ndarray:
    """Return pixels (H, W, C) with damage on the whole picture."""
    if isinstance(damage, Noise):
        return gaussian_noise(pixels, damage.sigma, rng)
    return add_text(pixels, rng, sizes=(damage.smallest, damage.largest))[0]


def read_folder(folder: str | Path) -> list[np.ndarray]:
    """Read all pictures of a folder as grey (H, W); report and skip those that cannot be read.

    Raises PictureError if none can be read, or if they are too many for memory.
    """
    images, pixels = [], 0
    for path, _ in find([folder]):
        try:
            images.append(grey(read(path).pixels)[..., 0])
        except PictureError as error:
            print(f"passed over: {printable(error)}", file=sys.stderr)
            continue
        pixels += images[-1].size
        if pixels > MAX_PIXELS:
            raise PictureError(
                f"{folder}: its pictures have more than {MAX_PIXELS // 10**6} million pixels "
                "together; expected fewer, scale them down or give some of them"
            )
    if not images:
        raise PictureError(f"{folder}: none of its pictures can be read; expected photographs")
    return images


def large_enough(images: Sequence[np.ndarray], patch: int, data: str = "") -> list[np.ndarray]:
    """Return the pictures that hold a patch. Raises TrainingError, which names `data`, if none."""
    large = [image for image in images if min(image.shape) >= patch]
    if not large:
        raise TrainingError(
            f"{data or 'data'}: none of {len(images)} pictures is at least {patch} x {patch} "
            "pixels; give larger ones, or a smaller --patch"
        )
    return large


def split(images: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return (training, validation) pictures; a single picture is both."""
    return hold_out(images, share=VALIDATION_SHARE, limit=VALIDATION_COUNT)


def steps_in(minutes: float, make: Callable[[int], Trainer]) -> int:
    """Return the number of steps that fit into these minutes, by timing a few of each stage."""
    trial = make(60)
    clock: dict[str, list[float]] = {}
    for stage in trial.run():
        times = clock.setdefault(stage.name, [])
        trial.device.synchronize()
        times.append(time.perf_counter())
        if len(times) > 2 and times[-1] - times[0] > TRIAL_SECONDS:
            trial.skip_stage()
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
    device: Device = CPU,
    every: float = 60.0,
    quiet: bool = False,
) -> Restorer:
    """Train in a new folder `out`: `steps` in all, or as many as fit into `minutes`.

    images: grey (H, W). data: their folder, for `resume`. every: seconds between reports.
    """
    learning, held_out = split(large_enough(images, recipe.patch, data))

    def make(count: int) -> Trainer:
        return new_trainer(learning, damage, recipe, count, seed, device)

    steps = steps or steps_in(minutes, make)
    config = Config(data, fingerprint(images), damage, recipe, seed, steps, device.name)

    def new_training() -> Training:
        return Training(make(steps), Validation.of(held_out, damage))

    training = loop.start(out, asdict(config), new_training, loop.Reports(every, quiet))
    return training.trainer.restorer


def resume(
    out: str | Path,
    images_of: Callable[[str], Sequence[np.ndarray]],
    *,
    device: Device | None = None,
    every: float = 60.0,
    quiet: bool = False,
) -> Restorer:
    """Resume the run in `out` as if it had not stopped.

    images_of: a function that returns the pictures of the run's `data`. device: by default the
    run's own; on another one the numbers differ slightly.
    """

    def equal_training(config: Config) -> Training:
        images = images_of(config.data)
        if fingerprint(images) != config.pictures:
            raise TrainingError(
                f"{out}: the pictures of {config.data!r} have changed since the run began"
            )
        learning, held_out = split(large_enough(images, config.recipe.patch, config.data))
        trainer = new_trainer(
            learning,
            config.damage,
            config.recipe,
            config.steps,
            config.seed,
            device or choose(config.device),
        )
        return Training(trainer, Validation.of(held_out, config.damage))

    training = loop.resume(out, Config, COLUMNS, equal_training, loop.Reports(every, quiet))
    return training.trainer.restorer


def fingerprint(images: Sequence[np.ndarray]) -> str:
    """Return a text that changes with any pixel of the pictures."""
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
    device: Device,
) -> Trainer:
    """Return a trainer on pictures (H, W) at its first step; all depends on the seed."""
    rng = np.random.default_rng(seed)
    restorer = recipe.untrained(damage, rng)
    restorer.network.to(device)
    draw = damage.draw_from(images, recipe.patch, rng, device)
    return Trainer(restorer, recipe, draw, steps=steps, rng=rng, device=device)


def _centre(image: np.ndarray) -> np.ndarray:
    top, left = (max(0, (n - VALIDATION_SIDE) // 2) for n in image.shape)
    return image[top : top + VALIDATION_SIDE, left : left + VALIDATION_SIDE]
