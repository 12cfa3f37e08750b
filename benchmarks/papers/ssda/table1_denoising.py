"""Table 1 and figure 2 of paper 1: Gaussian noise, our network and classical methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.models import zoo
from minidl.models.images.corruptions import gaussian_noise
from minidl.models.images.files import write
from minidl.models.images.scores import non_local_means, psnr, total_variation

from ..baselines import ksvd
from ..data import MissingError, Picture, collection, shortened
from ..report.cache import ResultCache, short
from ..report.page import Block, Figure, Row, Table, Text
from .plan import Plan, Weights
from .quoted import mean_std, noise_rows

COLLECTIONS = ("set12", "bsd68")
ALL_SIGMAS = (25.0, 50.0, 100.0)  # of the quoted rows
FIGURE_SIGMA = 50.0
DETAIL_SIDE, DETAIL_SCALE = 88, 4  # pixels of figure 2's detail, and its magnification


@dataclass(frozen=True)
class Method:
    """A method: repair(noisy pixels (H, W, 1)) -> (H, W, 1), and its settings."""

    settings: Mapping[str, Any]
    repair: Callable[[np.ndarray], np.ndarray]


def methods(plan: Plan, sigma: float) -> dict[str, Method]:
    """Return all methods that run here, by name. Raises NoWeightsError without weights."""
    weights = Weights.load(zoo.denoiser(sigma), plan.device)
    learned = {"patches": ksvd.PATCHES, "rounds": ksvd.ROUNDS, "stride": 1}
    return {
        "ours": Method(weights.settings(), lambda x: weights.restorer.repair(x, sigma=sigma)),
        "K-SVD": Method(learned, lambda x: ksvd.denoise(x, sigma, seed=plan.seed)),
        "non-local means": Method({}, lambda x: non_local_means(x, sigma)),
        "total variation": Method({}, lambda x: total_variation(x, sigma)),
    }


def table_1(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return tables for the paper's four pictures, for all of set12, and for bsd68."""
    blocks: list[Block] = [
        Text(
            "PSNR in dB over whole grey pictures: mean and standard deviation over pictures. The "
            "noise is Gaussian and not clipped, as in the paper, and drawn from the same seed for "
            "every method; repaired pictures are clipped to [0, 255]."
        )
    ]
    found: dict[str, list[Picture]] = {}
    for name in COLLECTIONS:
        try:
            found[name] = shortened(collection(plan.data, name), plan.count)
        except MissingError as missing:
            blocks.append(Text(f"Left out: {missing}."))
    if not found:
        raise MissingError("neither set12 nor bsd68 is in the data")
    for name, pictures in found.items():
        scores = {sigma: _scores(plan, cache, name, pictures, sigma) for sigma in plan.sigmas}
        named = [p.key for p in pictures if p.of_paper()]
        if name == "set12" and named:
            blocks.append(_table(plan, "paper", named, scores))
        blocks.append(_table(plan, name, [p.key for p in pictures], scores))
    blocks.append(Text(_about_weights(plan)))
    blocks.append(
        Text(
            f"K-SVD is run here as Elad and Aharon describe it (2006): a dictionary of {ksvd.ATOMS}"
            f" atoms learned on the noisy picture's own 8x8 patches ({ksvd.PATCHES:,} of them, "
            f"{ksvd.ROUNDS} rounds), orthogonal matching pursuit down to {ksvd.GAIN} sigma, every "
            "patch position, the noisy picture mixed in by 30 / sigma. Atoms are updated by the "
            "approximate step of Rubinstein et al. (2008). Non-local means and total variation are "
            "scikit-image's, with fixed strengths in units of sigma."
        )
    )
    return blocks


def _scores(
    plan: Plan, cache: ResultCache, name: str, pictures: Sequence[Picture], sigma: float
) -> dict[str, dict[str, float]]:
    """Return {method: {picture's key: dB}} at one noise level, cached by method."""
    items = {p.key: p for p in pictures}

    def score(repair: Callable[[np.ndarray], np.ndarray]) -> Callable[[Picture], float]:
        def score_one(picture: Picture) -> float:
            noisy = gaussian_noise(picture.pixels, sigma, picture.rng(plan.seed))
            return psnr(picture.pixels, repair(noisy))

        return score_one

    base = {"seed": plan.seed, "sigma": sigma}
    scores = {"noisy": {k: score(lambda x: x)(p) for k, p in items.items()}}
    for method, how in methods(plan, sigma).items():
        part = short(f"table1 {name} {sigma:g} {method}")
        clipped = score(lambda x, repair=how.repair: np.clip(repair(x), 0, 1))  # type: ignore[misc]
        scores[method] = cache.get_each(part, {**base, **how.settings}, items, clipped)
    return scores


def _table(
    plan: Plan,
    group: str,
    keys: Sequence[str],
    scores: Mapping[float, Mapping[str, Mapping[str, float]]],
) -> Table:
    """Return a table of methods by noise levels over the pictures `keys`, then quoted rows."""
    names = list(scores[plan.sigmas[0]])
    means = {
        m: [float(np.mean([scores[s][m][k] for k in keys])) for s in plan.sigmas] for m in names
    }
    best = [max(names[1:], key=lambda m: means[m][i]) for i in range(len(plan.sigmas))]
    rows = [
        Row(
            m,
            ["run here", *(mean_std([scores[s][m][k] for k in keys]) for s in plan.sigmas)],
            best=[1 + i for i, winner in enumerate(best) if winner == m],
        )
        for m in names
    ]
    for name, cells in noise_rows(group).items():
        chosen = [cells[ALL_SIGMAS.index(s)] for s in plan.sigmas]
        if set(chosen) != {"-"}:
            rows.append(Row(name, ["quoted", *chosen], quoted=True))
    caption = {
        "paper": "Table 1: the pictures that the paper names",
        "set12": "Table 1 on Set12",
        "bsd68": "Table 1 on BSD68",
    }[group]
    used = ", ".join(k.rpartition(" ")[0].rpartition(".")[0] for k in keys)
    notes = [f"Run here on {len(keys)} pictures" + (f": {used}." if len(keys) < 13 else ".")]
    if plan.quick:
        notes += ["A quick run: quoted rows are over all pictures of their lists, ours are not."]
    elif group == "paper":
        notes += [
            "Xie et al. average over these pictures 'etc.', a list that is not known: means may be "
            "compared only roughly. Burger et al. print each picture; means of the same four."
        ]
    return Table(caption, ["method", "", *(f"σ = {s:g}" for s in plan.sigmas)], rows, notes)


def _about_weights(plan: Plan) -> str:
    """Return a sentence on the weights of each noise level."""
    said = []
    for sigma in plan.sigmas:
        weights = Weights.load(zoo.denoiser(sigma), plan.device)
        known = getattr(weights.restorer.damage, "sigma", sigma)
        other = f", trained for sigma {known:g}, contrasts being scaled" if known != sigma else ""
        said.append(f"sigma {sigma:g} by {weights.name}{other}")
    return f"Ours, with the included weights: {'; '.join(said)}."


def figure_2(plan: Plan, cache: ResultCache) -> list[Block]:
    """Return one picture at sigma 50 and a detail of it, by every method."""
    pictures = collection(plan.data, "set12")
    named = [p for p in pictures if p.of_paper()] or pictures
    picture = (min if plan.quick else max)(named, key=lambda p: p.pixels.size)
    ways = methods(plan, FIGURE_SIGMA)

    def draw(picture: Picture) -> dict[str, Any]:
        noisy = gaussian_noise(picture.pixels, FIGURE_SIGMA, picture.rng(plan.seed))
        shown = {"clean": picture.pixels, "noisy": noisy}
        shown |= {name: np.clip(way.repair(noisy), 0, 1) for name, way in ways.items()}
        rows, columns = _detail(picture.pixels)
        files = []
        for i, pixels in enumerate(shown.values()):
            detail = pixels[rows, columns]
            enlarged = detail.repeat(DETAIL_SCALE, axis=0).repeat(DETAIL_SCALE, axis=1)
            for kind, tile in (("whole", pixels), ("detail", enlarged)):
                files.append(f"figure2-{kind}-{i}.png")
                write(cache.pictures / files[-1], tile)
        values = [psnr(picture.pixels, p) for n, p in shown.items() if n != "clean"]
        return {"names": list(shown), "pictures": files, "psnr": [None, *values]}

    settings = {n: dict(way.settings) for n, way in ways.items()} | {"seed": plan.seed}
    made = cache.get_each("figure2", settings, {picture.key: picture}, draw)[picture.key]
    captions = [
        name if value is None else f"{name}, {value:.2f} dB"
        for name, value in zip(made["names"], made["psnr"], strict=True)
    ]
    files = [cache.pictures / name for name in made["pictures"]]
    what = f"{picture.name.rpartition('.')[0]} under noise of sigma {FIGURE_SIGMA:g}, PSNR in dB"
    return [
        Figure(
            list(zip(files[0::2], captions, strict=True)),
            f"Figure 2: {what}.",
            across=3,
            owner="set12",
        ),
        Figure(
            list(zip(files[1::2], captions, strict=True)),
            f"The detail of {DETAIL_SIDE}x{DETAIL_SIDE} pixels with the most contrast, enlarged.",
            across=3,
            owner="set12",
        ),
    ]


def _detail(pixels: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of the square of most contrast in a picture (H, W, 1)."""
    height, width = pixels.shape[:2]
    squares = [
        (slice(top, top + DETAIL_SIDE), slice(left, left + DETAIL_SIDE))
        for top in range(0, max(1, height - DETAIL_SIDE + 1), 16)
        for left in range(0, max(1, width - DETAIL_SIDE + 1), 16)
    ]
    return max(squares, key=lambda square: float(pixels[square].std()))
