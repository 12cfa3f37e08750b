"""The ablation of paper 1's recipe: six recipes, the same network, the same few minutes.

    python -m benchmarks.papers.ssda.ablation --out docs/ablation --minutes 4

"naive" reads eq. 6 with the `mse` of Keras, the mean over pixels: on 144 pixels the error is then
72 times smaller, but beta and lambda are not, and the sparsity dominates. "paper" is the paper
taken literally, once with its L-BFGS and once with Adam. Two steps lead from there to "working",
the recipe of this package, which adds wide first weights and sparse initial activations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from minidl.device import CPU
from minidl.files import check_absent, replacing
from minidl.models import plots
from minidl.models.images.files import PictureError
from minidl.models.images.samples import NAMES, grey, photograph
from minidl.models.images.scores import psnr
from minidl.models.ssda.degradation import Noise
from minidl.models.ssda.recipes import NAIVE, PAPER, WORKING, Recipe
from minidl.models.ssda.trainer import Trainer
from minidl.models.ssda.training import degrade, new_trainer, read_folder, steps_in

SIGMA = 25.0
HELD_OUT = ("coffee", "chelsea", "rocket")  # never trained on where no folder is given
SIDE = 256  # pixels of each held-out picture
CURVE_POINTS = 24

_adam = replace(PAPER, optimizer="adam", batch=256, steps_per_batch=1)
_centred = replace(_adam, coding=WORKING.coding)
_weak = replace(_centred, pretrain=WORKING.pretrain, finetune=WORKING.finetune)
RECIPES: dict[str, Recipe] = {
    "naive: mean over pixels": NAIVE,
    "the paper, L-BFGS": PAPER,
    "the paper, Adam": _adam,
    "... and patch mean removed": _centred,
    "... and weak penalties": _weak,
    "working recipe": WORKING,
}


def held_out() -> list[np.ndarray]:
    """Return the photographs that are scored, (H, W, 1)."""
    return [grey(photograph(n))[:SIDE, :SIDE] for n in HELD_OUT]


def noisy(test: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the photographs with noise, each with its own seed."""
    return [degrade(t, Noise(SIGMA), np.random.default_rng(i)) for i, t in enumerate(test)]


def mean_psnr(test: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """Return the mean PSNR in dB."""
    return statistics.mean(psnr(t, o) for t, o in zip(test, others, strict=True))


def curve(
    recipe: Recipe,
    images: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    *,
    minutes: float,
    seed: int = 0,
    name: str = "",
) -> list[tuple[float, float]]:
    """Train for `minutes`; return points (minutes of training, mean PSNR in dB on `test`).

    images (H, W), test (H, W, 1). The time of the scoring is not counted.
    """
    damaged = noisy(test)

    def make(steps: int) -> Trainer:
        return new_trainer(images, Noise(SIGMA), recipe, steps, seed, CPU)

    def score() -> float:
        return mean_psnr(test, [trainer.restorer.repair(d, stride=4) for d in damaged])

    trainer = make(steps_in(minutes, make))
    every = -(-trainer.total // CURVE_POINTS)
    points: list[tuple[float, float]] = []
    trained, began = 0.0, time.perf_counter()
    with tqdm(total=trainer.total, desc=name, unit="step") as bar:
        for _ in trainer.run():
            bar.update()
            if trainer.done == trainer.total or trainer.done % every == 0:
                trained += time.perf_counter() - began
                points.append((trained / 60, score()))
                bar.set_postfix_str(f"{points[-1][1]:.2f} dB")
                began = time.perf_counter()
    return points


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all recipes, one after another; after each, write a plot, a table and the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", default="ablation", help="folder (%(default)s)")
    parser.add_argument("--data", help="a folder to train on (default: the included photographs)")
    parser.add_argument("--minutes", type=float, default=4.0, help="for each recipe (%(default)g)")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    options = parser.parse_args(arguments)
    images = [grey(photograph(n))[..., 0] for n in NAMES if n not in HELD_OUT]
    out, test = Path(options.out), held_out()
    try:
        if options.data:
            images = read_folder(options.data)
        out.mkdir(parents=True, exist_ok=True)
        for kind in (".png", ".md", ".json"):
            check_absent(out / f"ablation{kind}", force=options.force)
    except (PictureError, OSError) as error:
        parser.error(str(error))
    results: dict[str, list[tuple[float, float]]] = {}
    start = mean_psnr(test, noisy(test))
    for name, recipe in RECIPES.items():
        results[name] = curve(recipe, images, test, minutes=options.minutes, name=name)
        draw(out / "ablation.png", results, start)
        numbers = json.dumps({"noisy": start, "curves": results}, indent=1)
        for kind, text in ((".md", _table(results, start)), (".json", numbers)):
            with replacing(out / f"ablation{kind}") as temporary:
                temporary.write_text(text)
    print(_table(results, start))


def _table(results: dict[str, list[tuple[float, float]]], start: float) -> str:
    rows = ["| recipe | minutes | PSNR (dB) |", "|---|---|---|", f"| noisy input | | {start:.2f} |"]
    rows += [f"| {n} | {c[-1][0]:.1f} | {c[-1][1]:.2f} |" for n, c in results.items()]
    return "\n".join(rows) + "\n"


def draw(path: Path, results: Mapping[str, Sequence[tuple[float, float]]], start: float) -> None:
    """Draw the curves of all recipes; start: PSNR of the noisy pictures in dB."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in results.items():
        axes.plot(*zip(*points, strict=True), label=name, marker=".")
    axes.axhline(start, color="gray", linestyle=":", label="noisy input")
    axes.set(xlabel="minutes of training", ylabel="PSNR (dB), held-out photographs, sigma 25")
    axes.grid(alpha=0.3)
    axes.legend()
    plots.save(figure, path)


if __name__ == "__main__":
    main()
