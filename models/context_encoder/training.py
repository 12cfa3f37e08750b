"""A whole training run of a context encoder: from a folder of pictures to a trained model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from minidl.device import CPU, Device, choose
from minidl.models import plots
from minidl.models.images.files import PictureError, write
from minidl.models.training import loop
from minidl.models.training.run_folder import Run, TrainingError
from minidl.schema import OneOf, Range

from .data import MARGIN_DIVISOR, Photographs, split
from .inpainter import Inpainter
from .masks import MEAN_COLOUR, Holes
from .networks import by_name
from .scores import hole_scores
from .settings import Settings
from .trainer import Losses, Trainer

SAMPLE_COLUMNS = 6  # of samples.png
TRIAL_STEPS = 20  # are timed, to compute how many steps fit into the minutes
COLUMNS: dict[str, type] = {
    "step": int,
    **dict.fromkeys(("seconds", "rate", *Losses._fields, "l1", "l2", "psnr"), float),
}


@dataclass(frozen=True)
class Config:
    """A run's config.json."""

    model: Annotated[str, OneOf("context-encoder")] = field(default="context-encoder", init=False)
    data: str  # the folder of photographs
    pictures: str  # their fingerprint
    settings: Settings
    seed: Annotated[int, Range(0, math.inf)]
    steps: Annotated[int, Range(1, 10**12)]
    device: str  # where the run began
    begin: str | None = None  # the model file with the first weights


@dataclass(frozen=True)
class Validation:
    """Photographs (N, size, size, 3) uint8 that are never trained on, with fixed holes."""

    pixels: np.ndarray
    masks: np.ndarray
    corners: np.ndarray

    @classmethod
    def of(cls, photographs: Photographs, holes: Holes) -> Validation:
        pixels = np.stack([photographs[i] for i in range(len(photographs))])
        return cls(pixels, *holes.draw(len(pixels), np.random.default_rng(0)))

    def score(self, inpainter: Inpainter) -> dict[str, float]:
        """Return mean L1 and L2 in percent and mean PSNR in dB, over the holes."""
        filled = inpainter.inpaint_batch(self.pixels, self.masks, self.corners)
        return hole_scores(self.pixels / np.float32(255), filled, self.masks)

    def samples(self, inpainter: Inpainter) -> np.ndarray:
        """Return rows of original, damaged and filled pictures as one picture (H, W, 3)."""
        count = min(SAMPLE_COLUMNS, len(self.pixels))
        which = np.linspace(0, len(self.pixels) - 1, count).astype(int)
        clean = self.pixels[which] / np.float32(255)
        damaged = np.where(self.masks[which][..., None], MEAN_COLOUR, clean)
        filled = inpainter.inpaint_batch(self.pixels[which], self.masks[which], self.corners[which])
        return grid([clean, damaged, filled])


@dataclass(frozen=True)
class Training:
    """A trainer of a context encoder, and its reports."""

    trainer: Trainer
    validation: Validation

    @classmethod
    def of(cls, trainer: Trainer, held_out: Photographs) -> Training:
        return cls(trainer, Validation.of(held_out, trainer.inpainter.holes))

    def measure(self) -> dict[str, Any]:
        losses = self.trainer.mean_losses()._asdict()
        scores = self.validation.score(self.trainer.inpainter)
        return {
            "rate": self.trainer.g_optimizer.lr,
            **{name: round(value, 5) for name, value in losses.items()},
            **{name: round(value, 3) for name, value in scores.items()},
        }

    def describe(self, row: Mapping[str, Any]) -> str:
        return f"validation L1 {row['l1']:.2f} %, L2 {row['l2']:.2f} %, {row['psnr']:.2f} dB"

    def draw(self, run: Run) -> None:
        column = run.column
        plots.curves(
            run.folder / "curves.png",
            column("seconds") / 60,
            {
                "loss": {n: column(n) for n in ("reconstruction", "adversarial", "d_loss")},
                "the discriminator is right": {
                    "real": column("d_real"),
                    "predicted": column("d_fake"),
                },
                "validation, over the hole (%)": {"L1": column("l1"), "L2": column("l2")},
                "validation PSNR, over the hole (dB)": {"ours": column("psnr")},
            },
            x_label="minutes",
            logarithmic=["loss"],
        )
        write(run.folder / "samples.png", self.validation.samples(self.trainer.inpainter))

    def save(self, path: Path, **about: Any) -> None:
        self.trainer.inpainter.save(path, **about)


def grid(rows: list[np.ndarray], *, gap: int = 4) -> np.ndarray:
    """Arrange rows of pictures (N, H, W, 3) as one picture, with white gaps."""
    count, height, width, channels = rows[0].shape
    sheet = np.ones(
        (len(rows) * (height + gap) - gap, count * (width + gap) - gap, channels), np.float32
    )
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            top, left = r * (height + gap), c * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def steps_in(minutes: float, make: Callable[[int], Trainer]) -> int:
    """Return the number of steps that fit into these minutes, by timing a few steps."""
    trial, clock = make(TRIAL_STEPS), []
    for _ in trial.run():
        trial.device.synchronize()
        clock.append(time.perf_counter())
    seconds = float(np.mean(np.diff(clock[2:])))  # the first ones compile
    return max(1, int(0.97 * 60 * minutes / seconds))  # 3 % for reports


def start(
    out: str | Path,
    data: str | Path,
    settings: Settings,
    *,
    seed: int = 0,
    steps: int | None = None,
    minutes: float = 60.0,
    begin: str | Path | None = None,
    device: Device = CPU,
    every: float = 120.0,
    quiet: bool = False,
) -> Inpainter:
    """Train on the photographs in `data`, in a new folder `out`, and return the model.

    The training takes `steps` steps, or as many as fit into `minutes`.

    begin: a model's file with the first weights, instead of random ones. every: seconds between
    reports. quiet: no progress bar.
    """
    Run.check_new(out)  # before the pictures are read, which may take a while
    if settings.freeze_encoder and begin is None:
        raise TrainingError("a frozen encoder learns nothing; expected --begin FILE with it")
    photographs, held_out = _photographs(data, settings, quiet)

    def make(count: int) -> Trainer:
        rng = np.random.default_rng(seed)
        trainer = Trainer(settings, photographs, steps=count, rng=rng, device=device)
        if begin is not None:
            trainer.load_networks(begin)
        return trainer

    steps = steps or steps_in(minutes, make)
    pictures, first_weights = photographs.fingerprint(), None if begin is None else str(begin)
    config = Config(str(data), pictures, settings, seed, steps, device.name, first_weights)
    values = {name: value for name, value in asdict(config).items() if value is not None}

    def new_training() -> Training:
        return Training.of(make(steps), held_out)

    return loop.start(out, values, new_training, loop.Reports(every, quiet)).trainer.inpainter


def resume(
    out: str | Path,
    data: str | Path | None = None,
    *,
    device: Device | None = None,
    every: float = 120.0,
    quiet: bool = False,
) -> Inpainter:
    """Resume the run in `out` as if it had not stopped.

    data: the folder of its photographs, if they have moved. device: by default the run's own; on
    another one the numbers differ slightly. every: seconds between reports. quiet: no progress bar.
    """

    def equal_training(config: Config) -> Training:
        folder = data or config.data
        photographs, held_out = _photographs(folder, config.settings, quiet)
        if photographs.fingerprint() != config.pictures:
            raise TrainingError(f"{out}: the pictures of {folder} have changed since the run began")
        trainer = Trainer(
            config.settings,
            photographs,
            steps=config.steps,
            rng=np.random.default_rng(config.seed),
            device=device or choose(config.device),
        )
        return Training.of(trainer, held_out)

    training = loop.resume(out, Config, COLUMNS, equal_training, loop.Reports(every, quiet))
    return training.trainer.inpainter


def _photographs(
    data: str | Path, settings: Settings, quiet: bool
) -> tuple[Photographs, Photographs]:
    """Return the photographs to train on, and those that are held out.

    If no held-out photograph can be read, the last of the others is used for both.
    """
    training, held_out = split(data)
    size = by_name(settings.net).size
    try:
        photographs = Photographs(training, size + size // MARGIN_DIVISOR, quiet=quiet)
        try:
            return photographs, Photographs(held_out, size)
        except PictureError:
            return photographs, Photographs(photographs.paths[-1:], size)
    except PictureError as error:
        raise PictureError(f"{data}: {error}") from error
