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

from minidl.device import choose
from minidl.files import check_absent
from minidl.models import zoo
from minidl.models.context_encoder import REPORT, Holes, Inpainter, Settings, masks, training
from minidl.models.context_encoder.data import read_square
from minidl.models.context_encoder.inpainter import Progress
from minidl.models.context_encoder.scores import MAX_PICTURES, METHODS, picture_scores
from minidl.models.images.files import FORMATS, PictureError, check_writable, find, subsample, write
from minidl.models.training.run_folder import TrainingError

from .arguments import complain
from .repair import repair_all
from .train import print_result, train_or_resume

GRID_PICTURES = 8  # of evaluate


def train(options: argparse.Namespace) -> int:
    """Train a context encoder, or resume its training."""
    train_or_resume(options, _start, training.resume, options.data)
    return print_result(options, "fill PICTURE --mask MASK")


def _start(options: argparse.Namespace) -> Inpainter:
    if not options.data:
        raise TrainingError("--data is missing: expected a folder of photographs")
    settings = _settings(options)
    options.batch = settings.batch  # an error of full memory names a smaller one
    return training.start(
        options.out,
        options.data,
        settings,
        seed=options.seed or 0,
        steps=options.steps,
        minutes=options.minutes or 60.0,
        begin=zoo.resolve(options.begin) if options.begin else None,
        device=choose(options.device),
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
        "warmup_share": 0.0 if options.begin else None,  # the file's generator is past it
        "freeze_encoder": options.freeze_encoder,
    }
    return replace(settings, **{k: v for k, v in given.items() if v is not None})


def fill(options: argparse.Namespace) -> int:
    """Fill the holes of each picture."""
    path = zoo.resolve(options.weights) if options.weights else zoo.inpainter()
    inpainter = Inpainter.load(
        path,
        device=choose(options.device),
        flip_average=options.mirror,
        texture=options.texture,
    )
    names = dict(find(options.pictures))

    def repair(
        source: Path, pixels: np.ndarray, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        try:
            mask = _mask(options, names[source], pixels.shape[:2])
            filled = inpainter.inpaint(pixels, mask, progress=progress)
        except ValueError as error:
            raise PictureError(f"{source}: {error}") from error
        return filled, {"weights": path.name, "filled": round(float(mask.mean()), 4)}

    return repair_all(options, repair, unit="hole")


def _mask(options: argparse.Namespace, name: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the mask for the picture of this relative name."""
    if isinstance(options.mask, tuple):
        mask = masks.from_box(options.mask, shape)
    else:
        path = Path(options.mask)
        mask = masks.from_picture(_mask_file(path, name) if path.is_dir() else path, shape)
    return masks.dilate(~mask if options.invert_mask else mask, options.grow)


def _mask_file(folder: Path, name: Path) -> Path:
    """Return the file in a folder of masks with the picture's name and any suffix."""
    for suffix in (name.suffix, *FORMATS):
        path = (folder / name).with_suffix(suffix)
        if path.is_file():
            return path
    raise PictureError(
        f"{folder}: holds no mask for {name}; expected {name.with_suffix('.png')} there"
    )


def evaluate(options: argparse.Namespace) -> int:
    """Print scores over holes of the trained kind, averaged over the pictures."""
    if options.grid:
        check_writable(options.grid)  # before the scoring, which takes a while
        check_absent(options.grid, force=options.force)
    path = zoo.resolve(options.weights) if options.weights else zoo.inpainter("centre")
    inpainter = Inpainter.load(path, device=choose(options.device), flip_average=options.mirror)
    found = subsample(find([options.data]), options.limit)
    began, holes = time.perf_counter(), inpainter.holes
    slow = {method: subsample(found, count) for method, count in MAX_PICTURES.items()}
    in_grid = subsample(found, GRID_PICTURES) if options.grid else []
    scores: dict[str, list[dict[str, float]]] = {}
    rows_of_grid: list[list[np.ndarray]] = []
    for file, name in tqdm(found, unit="picture", disable=options.json or None):
        try:
            pixels = read_square(file, holes.size) / np.float32(255)
        except PictureError as error:
            complain(options, error)
            continue
        rng = np.random.default_rng((options.seed, zlib.crc32(str(name).encode())))
        mask, corner = holes.draw(1, rng)
        filled = {"context encoder": inpainter.inpaint_batch(pixels[None], mask, corner)[0]}
        for method, function in METHODS.items():
            wanted = options.baselines or method == "mean colour"
            if wanted and (method not in slow or (file, name) in slow[method]):
                filled[method] = function(pixels, mask[0])
        for method, result in filled.items():
            scores.setdefault(method, []).append(picture_scores(pixels, result, mask[0]))
        if (file, name) in in_grid:
            rows_of_grid.append([pixels, filled["mean colour"], filled["context encoder"]])
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
    if rows_of_grid:
        write(
            options.grid, training.grid([np.stack(row) for row in zip(*rows_of_grid, strict=True)])
        )
    return 1 if len(scores["context encoder"]) < len(found) else 0


def _described(holes: Holes) -> str:
    inner = holes.side - 2 * holes.overlap
    return holes.kind if holes.full_image else f"{holes.kind}, {inner}x{inner} pixels"


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
