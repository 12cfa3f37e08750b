"""`minidl demo`: train and repair photographs in a few minutes, offline, without data.

Two small SSDAs are trained on photographs of the dependencies, one against noise, one against text,
and tried on two other photographs. A hole in a third is filled by the included weights.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minidl.device import Device, choose
from minidl.files import check_absent
from minidl.models import plots, zoo
from minidl.models.context_encoder import Inpainter
from minidl.models.context_encoder.masks import MEAN_COLOUR
from minidl.models.context_encoder.scores import membrane
from minidl.models.images.corruptions import add_text
from minidl.models.images.files import write
from minidl.models.images.samples import NAMES, grey, photograph
from minidl.models.images.scores import non_local_means, psnr, ssim, total_variation
from minidl.models.ssda import RECIPES, Noise, Recipe, Restorer, Text
from minidl.models.ssda.degradation import Damage
from minidl.models.ssda.training import degrade, new_trainer
from minidl.models.terminal import printable
from minidl.models.training.run_folder import TrainingError

OURS = "ours, trained just now"
HELD_OUT = {"noise": "coffee", "text": "chelsea", "hole": "rocket"}
WRITTEN = (
    *(f"{name}{part}.png" for name in ("noise", "text") for part in ("", "-damaged", "-repaired")),
    "hole.png",
)
HOLE_SIDE = 96  # pixels, in the middle of the photograph


@dataclass(frozen=True)
class Task:
    """A training of the demo: its degradation, its recipe and its number of steps."""

    title: str
    damage: Damage
    recipe: Recipe
    steps: int


TASKS = {
    "noise": Task(
        "noise of sigma 25",
        Noise(25),
        replace(RECIPES["working"], patch=10, hidden=(512, 512)),
        steps=6000,
    ),
    "text": Task(
        "text of 18 to 24 pixels",
        Text(18, 24),
        replace(RECIPES["text"], patch=16, hidden=(640, 640)),
        steps=4500,
    ),
}


def run(options: argparse.Namespace) -> int:
    """Train, repair, print a table, write one picture for each task."""
    out, device = Path(options.out), choose(options.device)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{out}: cannot be made ({error.strerror}); name another --out"
        ) from error
    for name in WRITTEN:  # before the training, which takes a while
        check_absent(out / name, force=options.force)
    training = [grey(photograph(n))[..., 0] for n in NAMES if n not in HELD_OUT.values()]
    print(f"Training on {len(training)} photographs that come with scikit-image and matplotlib.")
    for name, task in TASKS.items():
        clean = photograph(HELD_OUT[name])
        damaged = _degrade(clean, task.damage, options.seed)
        restorer = _train(task, training, options.seed, device)
        began = time.perf_counter()
        pictures = {"damaged": damaged, OURS: restorer.repair(damaged)}
        seconds = time.perf_counter() - began
        pictures |= _others(name, damaged, device)
        _print_table(f"{HELD_OUT[name]}, {task.title}", clean, pictures)
        print(f"(repaired in {seconds:.1f} s, {clean.shape[1]}x{clean.shape[0]} pixels)\n")
        plots.side_by_side(out / f"{name}.png", _rows(clean, pictures))
        write(out / f"{name}-damaged.png", damaged)
        write(out / f"{name}-repaired.png", pictures[OURS])
    _inpaint(out, device)
    print(f"Look at the pictures in {printable(out)}.")
    return 0


def _inpaint(out: Path, device: Device) -> None:
    """Fill a hole in a photograph by the included weights, whose training takes longer."""
    try:
        inpainter = Inpainter.load(zoo.inpainter(), device=device)
    except zoo.NoWeightsError:
        return
    clean = photograph(HELD_OUT["hole"])
    height, width = clean.shape[:2]
    top, left = (height - HOLE_SIDE) // 2, (width - HOLE_SIDE) // 2
    mask = np.zeros((height, width), bool)
    mask[top : top + HOLE_SIDE, left : left + HOLE_SIDE] = True
    damaged = np.where(mask[..., None], MEAN_COLOUR, clean).astype(np.float32)
    pictures = {
        "damaged": damaged,
        "ours, shipped weights": inpainter.inpaint(damaged, mask),
        "a membrane": membrane(damaged, mask),
    }
    _print_table(f"{HELD_OUT['hole']}, a hole of {HOLE_SIDE} pixels", clean, pictures, mask)
    print("(PSNR over the hole, SSIM over the picture)\n")
    plots.side_by_side(out / "hole.png", [_captioned(clean, pictures, mask)])


def _captioned(
    clean: np.ndarray, pictures: dict[str, np.ndarray], mask: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    scored = {f"{name}, {psnr(clean, p, mask):.2f} dB": p for name, p in pictures.items()}
    return {**scored, "clean": clean}


def _degrade(clean: np.ndarray, damage: Damage, seed: int) -> np.ndarray:
    """Degrade a picture as in training, but with less text."""
    rng = np.random.default_rng(seed)
    if isinstance(damage, Text):
        return add_text(clean, rng, sizes=(damage.smallest, damage.largest), spacing=2.0)[0]
    return degrade(clean, damage, rng)


def _train(task: Task, images: list[np.ndarray], seed: int, device: Device) -> Restorer:
    trainer = new_trainer(images, task.damage, task.recipe, task.steps, seed, device)
    with tqdm(total=trainer.total, unit="step", desc=f"against {task.title}") as bar:
        for stage in trainer.run():
            if trainer.done % 20 == 0 or trainer.done == trainer.total:
                bar.set_postfix_str(stage.name, refresh=False)
                bar.update(trainer.done - bar.n)
    return trainer.restorer


def _others(name: str, damaged: np.ndarray, device: Device) -> dict[str, np.ndarray]:
    """Return the repairs by the shipped weights and by classical methods."""
    pictures: dict[str, np.ndarray] = {}
    try:
        path = zoo.denoiser(25) if name == "noise" else zoo.text_remover()
        pictures["ours, shipped weights"] = Restorer.load(path, device=device).repair(damaged)
    except zoo.NoWeightsError:
        pass
    if name == "noise":  # every classical method against text needs its mask
        pictures["non-local means"] = np.clip(non_local_means(damaged, 25), 0, 1)
        pictures["total variation"] = np.clip(total_variation(damaged, 25), 0, 1)
    return pictures


def _rows(clean: np.ndarray, pictures: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Return damaged, repaired and clean pictures, and below each its middle, enlarged."""
    full = _captioned(clean, {name: pictures[name] for name in ("damaged", OURS)})
    top, left = (3 * n // 8 for n in clean.shape[:2])
    height, width = (n // 4 for n in clean.shape[:2])
    detail = {
        " " * i: pixels[top : top + height, left : left + width]
        for i, pixels in enumerate(full.values())
    }
    return [full, detail]


def _print_table(
    title: str,
    clean: np.ndarray,
    pictures: dict[str, np.ndarray],
    mask: np.ndarray | None = None,
) -> None:
    print(f"\n{title:34}  PSNR     SSIM")
    for name, pixels in pictures.items():
        print(f"  {name:30}{psnr(clean, pixels, mask):6.2f} dB  {ssim(clean, pixels):.3f}")
