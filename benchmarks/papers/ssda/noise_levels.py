"""Beyond table 1: noise of levels that no weights are for, and noise of which nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from minidl.models import plots, zoo
from minidl.models.images.corruptions import gaussian_noise
from minidl.models.images.files import write
from minidl.models.images.noise import NoiseCurve
from minidl.models.images.scores import estimate_sigma, non_local_means, psnr

from ..data import Picture, photographs
from ..report.cache import Parts, short
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights

SIGMAS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 75.0, 100.0, 120.0)
QUICK_SIGMAS = (10.0, 35.0, 80.0)
SIDE = 192  # pixels of each photograph's middle


def between(plan: Plan, parts: Parts) -> list[Block]:
    """Every denoiser that comes along at every level, and the one that is taken: a drawing."""
    sigmas = QUICK_SIGMAS if plan.quick else SIGMAS
    pictures = photographs(SIDE, colour=False)[: plan.count]
    loaded = [Weights.load(path, plan.place) for path in zoo.denoisers().values()]

    def score(weights: Weights, sigma: float) -> float:
        def of(picture: Picture) -> float:
            noisy = gaussian_noise(picture.pixels, sigma, picture.rng(plan.seed))
            return psnr(picture.pixels, weights.restorer.repair(noisy, sigma=sigma))

        return float(np.mean([of(p) for p in pictures]))

    lines: dict[str, list[float]] = {}
    for weights in loaded:
        settings = {"seed": plan.seed, "pictures": [p.key for p in pictures], **weights.settings()}
        items = {f"{sigma:g}": sigma for sigma in sigmas}
        made = parts.each(
            f"levels-{weights.name}",
            settings,
            items,
            lambda sigma, w=weights: score(w, sigma),  # type: ignore[misc]
        )
        lines[weights.name] = [made[key] for key in items]
    taken = [lines[zoo.denoiser(sigma).stem][i] for i, sigma in enumerate(sigmas)]
    best = [max(line[i] for line in lines.values()) for i in range(len(sigmas))]
    path = parts.pictures / "levels.png"
    plots.curves(
        path,
        np.array(sigmas),
        {
            "PSNR (dB)": {"taken": taken, **lines},
            "dB below the best of all": {
                "taken": np.subtract(best, taken),
                **{n: np.minimum(np.subtract(best, line), 2) for n, line in lines.items()},
            },
        },
        x_label="sigma",
    )
    worst = float(np.max(np.subtract(best, taken)))
    return [
        Text(
            "Weights are trained for a few levels. In between, contrasts are scaled so that the "
            "noise has the level that a network knows, and where that would ask for more than its "
            "coding can express, repaired and noisy pixels are mixed as far as each can be "
            f"trusted. Those of the highest level up to {zoo.ABOVE:g} sigma are taken, a rule that "
            "was chosen on held-out pictures of the training folder; on the photographs drawn here "
            f"it is at most {worst:.2f} dB below the best of all weights."
        ),
        Figure(
            [(path, "")],
            f"Mean PSNR over {', '.join(p.name.rpartition('.')[0] for p in pictures)}, in grey, "
            f"{SIDE}x{SIDE}; on the right what each loses against the best, cut off at 2 dB.",
        ),
    ]


@dataclass(frozen=True)
class Unknown:
    """Noise z of deviation sigma, times a strength that depends on the clean pixels y."""

    name: str
    sigma: float
    strength: Callable[[np.ndarray], np.ndarray] = np.ones_like
    spread: float = 0.0  # pixels by which it is blurred: neighbours have it in common

    def over(self, picture: Picture, seed: int) -> np.ndarray:
        """The picture as a camera would store it: noisy, clipped, in 8 bits."""
        y, rng = picture.pixels, picture.rng(seed)
        z = rng.standard_normal(y.shape, dtype=y.dtype)
        if self.spread:
            z = gaussian_filter(z, (self.spread, self.spread, 0))
            z /= z.std()
        noisy = y + self.sigma / 255 * np.sqrt(self.strength(y)) * z
        return (np.round(255 * np.clip(noisy, 0, 1)) / 255).astype(np.float32)


UNKNOWN = (
    Unknown("white, σ = 10", 10),
    Unknown("white, σ = 20", 20),
    Unknown("white, σ = 35", 35),
    Unknown("white, σ = 60", 60),
    Unknown("three times as strong in white, σ = 20 in mid-grey", 20, lambda y: 0.2 + 1.6 * y),
    Unknown("three times as strong in white, σ = 35 in mid-grey", 35, lambda y: 0.2 + 1.6 * y),
    Unknown("three times as strong in black, σ = 20 in mid-grey", 20, lambda y: 1.8 - 1.6 * y),
    Unknown("blurred, in common to neighbours, σ = 20", 20, spread=0.6),
)
SHOWN = UNKNOWN[5]


def unknown(plan: Plan, parts: Parts) -> list[Block]:
    """Colour photographs under noise that nobody tells of: a table, and one photograph."""
    pictures = {p.key: p for p in photographs(SIDE, colour=True)[: plan.count]}
    conditions = UNKNOWN[1:6:4] if plan.quick else UNKNOWN
    loaded = {path: Weights.load(path, plan.place) for path in zoo.denoisers().values()}

    def repair(noisy: np.ndarray, noise: NoiseCurve) -> np.ndarray:
        sigma = min(noise.sigma, 255)
        restorer = loaded[zoo.denoiser(sigma)].restorer
        return noise.restore(restorer.repair(noise.flatten(noisy), sigma=sigma))

    def ways(noisy: np.ndarray, condition: Unknown) -> dict[str, np.ndarray]:
        even = estimate_sigma(noisy)
        return {
            "noisy": noisy,
            "ours, auto": repair(noisy, NoiseCurve.of(noisy)),
            "ours, one level estimated": repair(noisy, NoiseCurve(even, even)),
            "ours, told σ": repair(noisy, NoiseCurve(condition.sigma, condition.sigma)),
            "non-local means, auto": np.clip(non_local_means(noisy, even), 0, 1),
        }

    settings = {"seed": plan.seed} | {w.name: w.settings() for w in loaded.values()}
    rows = []
    for condition in conditions:

        def score(picture: Picture, condition: Unknown = condition) -> dict[str, float]:
            repaired = ways(condition.over(picture, plan.seed), condition)
            return {name: psnr(picture.pixels, pixels) for name, pixels in repaired.items()}

        made = parts.each(f"unknown-{short(condition.name)}", settings, pictures, score)
        columns = list(next(iter(made.values())))
        means = {n: float(np.mean([m[n] for m in made.values()])) for n in columns}
        best = max(means, key=lambda name: means[name])
        rows.append(
            Row(condition.name, [f"{v:.2f}" for v in means.values()], best=[columns.index(best)])
        )
    return [
        Text(
            "Colour photographs with noise in every channel, clipped and rounded to 8 bits. What "
            "it is like is not told: auto reads off the picture how strong it is in black and in "
            "white. Where the two are clearly apart, brightness is bent so that noise is the same "
            "everywhere, repaired, and bent back. Noise is taken out of grey and of two "
            "differences of colours, so that stains of colour go as well as grain. All is judged "
            "from differences of neighbouring pixels: noise that neighbours have in common, as "
            "after enlarging or strong JPEG, is taken for picture, and --sigma has to tell."
        ),
        Table(
            f"Noise of which nothing is known, PSNR in dB (mean over {len(pictures)} photographs)",
            ["noise", *columns],
            rows,
        ),
        _figure(plan, parts, next(iter(pictures.values())), settings, ways),
    ]


def _figure(
    plan: Plan,
    parts: Parts,
    picture: Picture,
    settings: Mapping[str, Any],
    ways: Callable[[np.ndarray, Unknown], dict[str, np.ndarray]],
) -> Figure:
    """One photograph by all ways."""

    def draw(picture: Picture) -> dict[str, Any]:
        shown = ways(SHOWN.over(picture, plan.seed), SHOWN)
        captions = [f"{name}, {psnr(picture.pixels, p):.2f} dB" for name, p in shown.items()]
        files = [f"unknown-{i}.png" for i in range(len(shown) + 1)]
        for file, pixels in zip(files, [*shown.values(), picture.pixels], strict=True):
            write(parts.pictures / file, pixels)
        return {"pictures": files, "captions": [*captions, "clean"]}

    made = parts.each("unknown", settings, {picture.key: picture}, draw)[picture.key]
    files: list[Path] = [parts.pictures / name for name in made["pictures"]]
    caption = f"Noise {SHOWN.name}: {picture.name.rpartition('.')[0]}."
    return Figure(list(zip(files, made["captions"], strict=True)), caption, across=3)
