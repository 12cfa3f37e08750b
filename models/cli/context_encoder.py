"""`minidl train context-encoder`, `minidl evaluate context-encoder` and `minidl fill`."""

from __future__ import annotations

import argparse
import json
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minidl import device
from minidl.files import check_absent
from minidl.models import zoo
from minidl.models.context_encoder import REPORT, Filler, Holes, Settings, masks, training
from minidl.models.context_encoder.data import square
from minidl.models.context_encoder.inpainter import Progress
from minidl.models.context_encoder.scores import METHODS, SLOW, picture_scores
from minidl.models.images.files import FORMATS, PictureError, check_writable, evenly, find, write
from minidl.models.training.run_folder import TrainingError

from .arguments import complain
from .repair import each
from .train import resumable, resumed, told

GRID = 8  # pictures in the grid of evaluate


def train(options: argparse.Namespace) -> int:
    """Train a context encoder, or go on training it."""
    if options.resume:
        resumed(options, training.resume, options.data)
    else:
        with resumable(options):
            _start(options)
    return told(options, "fill PICTURE --mask MASK")


def _start(options: argparse.Namespace) -> Filler:
    if not options.data:
        raise TrainingError("--data is missing: expected a folder of photographs")
    settings = _settings(options)
    options.batch = settings.batch  # so that full memory can name a smaller one
    return training.start(
        options.out,
        options.data,
        settings,
        seed=options.seed or 0,
        steps=options.steps,
        minutes=options.minutes or 60.0,
        begin=zoo.chosen(options.begin) if options.begin else None,
        place=device.choose(options.device),
        every=options.every,
        quiet=options.json,
    )


def _settings(options: argparse.Namespace) -> Settings:
    settings = REPORT if options.net == "report" else Settings()
    given = {
        "net": options.net,
        "mask": options.mask,
        "adversarial": options.adversarial,
        "generator_rate": options.lr,
        "batch": options.batch,
        "alone": 0.0 if options.begin else None,  # it has learned alone already
        "freeze_encoder": options.freeze_encoder,
    }
    return replace(settings, **{k: v for k, v in given.items() if v is not None})


def fill(options: argparse.Namespace) -> int:
    """Fill the holes of each picture."""
    path = zoo.chosen(options.weights) if options.weights else zoo.filler()
    filler = Filler.load(
        path,
        device=device.choose(options.device),
        mirror=options.mirror,
        texture=options.texture,
    )
    names = dict(find(options.pictures))

    def repair(
        source: Path, pixels: np.ndarray, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        try:
            mask = _mask(options, names[source], pixels.shape[:2])
            filled = filler.fill(pixels, mask, progress=progress)
        except ValueError as error:
            raise PictureError(f"{source}: {error}") from error
        return filled, {"weights": path.name, "filled": round(float(mask.mean()), 4)}

    return each(options, repair, unit="hole")


def _mask(options: argparse.Namespace, name: Path, shape: tuple[int, int]) -> np.ndarray:
    """The mask that is meant for the picture of this relative name."""
    if isinstance(options.mask, tuple):
        mask = masks.from_box(options.mask, shape)
    else:
        path = Path(options.mask)
        mask = masks.from_picture(_of_name(path, name) if path.is_dir() else path, shape)
    return masks.grown(~mask if options.invert_mask else mask, options.grow)


def _of_name(folder: Path, name: Path) -> Path:
    """The file of a folder of masks that has the picture's name, whatever its suffix."""
    for suffix in (name.suffix, *FORMATS):
        path = (folder / name).with_suffix(suffix)
        if path.is_file():
            return path
    raise PictureError(
        f"{folder}: holds no mask for {name}; expected {name.with_suffix('.png')} there"
    )


def evaluate(options: argparse.Namespace) -> int:
    """Scores over holes of the kind that the model was trained on, mean over the pictures."""
    if options.grid:
        check_writable(options.grid)  # before all is scored, which takes a while
        check_absent(options.grid, force=options.force)
    path = zoo.chosen(options.weights) if options.weights else zoo.filler("centre")
    filler = Filler.load(path, device=device.choose(options.device), mirror=options.mirror)
    found = evenly(find([options.data]), options.limit)
    began, holes = time.perf_counter(), filler.holes
    few = {method: evenly(found, most) for method, most in SLOW.items()}
    in_grid = evenly(found, GRID) if options.grid else []
    scores: dict[str, list[dict[str, float]]] = {}
    shown: list[list[np.ndarray]] = []
    for file, name in tqdm(found, unit="picture", disable=options.json or None):
        try:
            pixels = square(file, holes.size) / np.float32(255)
        except PictureError as error:
            complain(options, error)
            continue
        chance = np.random.default_rng((options.seed, zlib.crc32(str(name).encode())))
        mask, corner = holes.draw(1, chance)
        filled = {"context encoder": filler.complete(pixels[None], mask, corner)[0]}
        for method, function in METHODS.items():
            wanted = options.baselines or method == "mean colour"
            if wanted and (method not in few or (file, name) in few[method]):
                filled[method] = function(pixels, mask[0])
        for method, result in filled.items():
            scores.setdefault(method, []).append(picture_scores(pixels, result, mask[0]))
        if (file, name) in in_grid:
            shown.append([pixels, filled["mean colour"], filled["context encoder"]])
    if not scores:
        raise PictureError(f"{options.data}: none of its pictures can be read")
    means = {
        method: {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        | {"pictures": len(rows)}
        for method, rows in scores.items()
    }
    if options.json:
        answer = {"data": Path(options.data).name, "hole": _described(holes), "scores": means}
        answer["mirror"] = options.mirror
        print(json.dumps(answer | {"seconds": round(time.perf_counter() - began, 1)}))
    else:
        print(f"pictures of {holes.size}x{holes.size}, hole: {_described(holes)}")
        _print_table(means)
    if shown:
        write(options.grid, training.grid([np.stack(row) for row in zip(*shown, strict=True)]))
    return 1 if len(scores["context encoder"]) < len(found) else 0


def _described(holes: Holes) -> str:
    inner = holes.side - 2 * holes.overlap
    return holes.kind if holes.whole else f"{holes.kind}, {inner}x{inner} pixels"


def _print_table(means: dict[str, dict[str, float]]) -> None:
    heads = {
        "l1": ("L1 %", 2),
        "l2": ("L2 %", 2),
        "psnr": ("PSNR dB", 2),
        "whole": ("whole dB", 2),
        "ssim": ("SSIM", 3),
        "pictures": ("pictures", 0),
    }
    width = max(len(method) for method in means)
    print(" " * width + "".join(f"{head:>10}" for head, _ in heads.values()))
    for method, row in means.items():
        cells = (f"{row[key]:>10.{digits}f}" for key, (_, digits) in heads.items())
        print(f"{method:{width}}" + "".join(cells))
