"""Beyond table 1: noise levels between the trained ones, and unknown noise."""

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
from ..report.cache import ResultCache, short
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights

SIGMAS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 75.0, 100.0, 120.0)
QUICK_SIGMAS = (10.0, 35.0, 80.0)
SIDE = 192  # pixels; the middle of each photograph is used


def between(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return a plot of the PSNR of each included denoiser by level, and of the one that is used."""
    sigmas = QUICK_SIGMAS if plan.quick else SIGMAS
    pictures = photographs(SIDE, colour=False)[: plan.count]
    loaded = [Weights.load(path, plan.device) for path in zoo.denoisers().values()]

    def score(weights: Weights, sigma: float) -> float:
        def score_one(picture: Picture) -> float:
            noisy = gaussian_noise(picture.pixels, sigma, picture.rng(plan.seed))
            return psnr(picture.pixels, weights.restorer.repair(noisy, sigma=sigma))

        return float(np.mean([score_one(p) for p in pictures]))

    lines: dict[str, list[float]] = {}
    for weights in loaded:
        settings = {"seed": plan.seed, "pictures": [p.key for p in pictures], **weights.settings()}
        items = {f"{sigma:g}": sigma for sigma in sigmas}
        made = cache.get_each(
            f"levels-{weights.name}",
            settings,
            items,
            lambda sigma, w=weights: score(w, sigma),  # type: ignore[misc]
        )
        lines[weights.name] = [made[key] for key in items]
    taken = [lines[zoo.denoiser(sigma).stem][i] for i, sigma in enumerate(sigmas)]
    best = [max(line[i] for line in lines.values()) for i in range(len(sigmas))]
    path = cache.pictures / "levels.png"
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
            "noise has the level that a network knows. Where the coding cannot express the scaled "
            "contrasts, repaired and noisy pixels are mixed, weighted by their certainty. The "
            f"weights of the highest level up to {zoo.MAX_SIGMA_RATIO:g} sigma are used. This rule "
            "was chosen on held-out pictures of the training folder. On the photographs drawn "
            f"here it is at most {worst:.2f} dB below the best of all weights."
        ),
        Figure(
            [(path, "")],
            f"Mean PSNR over {', '.join(p.name.rpartition('.')[0] for p in pictures)}, in grey, "
            f"{SIDE}x{SIDE}; on the right what each loses against the best, cut off at 2 dB.",
        ),
    ]


@dataclass(frozen=True)
class Unknown:
    """Noise of variance sigma^2 times a strength, which depends on the clean pixels y."""

    name: str
    sigma: float
    strength: Callable[[np.ndarray], np.ndarray] = np.ones_like
    blur: float = 0.0  # pixels; blurred noise is the same in neighbours

    def over(self, picture: Picture, seed: int) -> np.ndarray:
        """Return the picture as a camera would store it: noisy, clipped, in 8 bits."""
        y, rng = picture.pixels, picture.rng(seed)
        z = rng.standard_normal(y.shape, dtype=y.dtype)
        if self.blur:
            z = gaussian_filter(z, (self.blur, self.blur, 0))
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
    Unknown("blurred, in common to neighbours, σ = 20", 20, blur=0.6),
)
SHOWN_NOISE = UNKNOWN[5]


def unknown(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return a table of colour photographs with unknown noise, and a figure of one of them."""
    pictures = {p.key: p for p in photographs(SIDE, colour=True)[: plan.count]}
    conditions = UNKNOWN[1:6:4] if plan.quick else UNKNOWN
    loaded = {path: Weights.load(path, plan.device) for path in zoo.denoisers().values()}

    def repair(noisy: np.ndarray, noise: NoiseCurve) -> np.ndarray:
        sigma = min(noise.sigma, 255)
        restorer = loaded[zoo.denoiser(sigma)].restorer
        return noise.unflatten(restorer.repair(noise.flatten(noisy), sigma=sigma))

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

        made = cache.get_each(f"unknown-{short(condition.name)}", settings, pictures, score)
        columns = list(next(iter(made.values())))
        means = {n: float(np.mean([m[n] for m in made.values()])) for n in columns}
        best = max(means, key=lambda name: means[name])
        rows.append(
            Row(condition.name, [f"{v:.2f}" for v in means.values()], best=[columns.index(best)])
        )
    return [
        Text(
            "Colour photographs with noise in every channel, clipped and rounded to 8 bits. Its "
            "strength is not given: auto estimates it from the picture, in black and in white. If "
            "the two differ clearly, a curve over brightness makes the noise the same everywhere, "
            "the picture is repaired, and the curve is inverted. Noise is removed from grey and "
            "from two differences of colours, so that stains of colour go as well as grain. The "
            "estimate uses differences of neighbouring pixels. Noise that neighbours share, as "
            "after enlarging or strong JPEG, looks like picture to it, and needs --sigma."
        ),
        Table(
            f"Noise of which nothing is known, PSNR in dB (mean over {len(pictures)} photographs)",
            ["noise", *columns],
            rows,
        ),
        _figure(plan, cache, next(iter(pictures.values())), settings, ways),
    ]


def _figure(
    plan: Plan,
    cache: ResultCache,
    picture: Picture,
    settings: Mapping[str, Any],
    ways: Callable[[np.ndarray, Unknown], dict[str, np.ndarray]],
) -> Figure:
    """Return a figure of one photograph: with SHOWN_NOISE, repaired in each way, and clean.

    ways: returns {name: repaired picture} for a noisy picture and its noise.
    """

    def draw(picture: Picture) -> dict[str, Any]:
        shown = ways(SHOWN_NOISE.over(picture, plan.seed), SHOWN_NOISE)
        captions = [f"{name}, {psnr(picture.pixels, p):.2f} dB" for name, p in shown.items()]
        files = [f"unknown-{i}.png" for i in range(len(shown) + 1)]
        for file, pixels in zip(files, [*shown.values(), picture.pixels], strict=True):
            write(cache.pictures / file, pixels)
        return {"pictures": files, "captions": [*captions, "clean"]}

    made = cache.get_each("unknown", settings, {picture.key: picture}, draw)[picture.key]
    files: list[Path] = [cache.pictures / name for name in made["pictures"]]
    caption = f"Noise {SHOWN_NOISE.name}: {picture.name.rpartition('.')[0]}."
    return Figure(list(zip(files, made["captions"], strict=True)), caption, across=3)
