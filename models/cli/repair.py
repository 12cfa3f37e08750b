"""`minidl denoise` and `minidl remove-text`: read pictures, and write them repaired."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minidl.device import Device, choose
from minidl.files import check_absent
from minidl.models import zoo
from minidl.models.images.files import FORMATS, PictureError, find, read, write
from minidl.models.images.noise import NoiseCurve, rounding_step
from minidl.models.ssda import Noise, Restorer, Text
from minidl.models.ssda.restorer import Progress
from minidl.models.terminal import printable

from .arguments import complain

# (the picture's file, its pixels, progress) -> the repaired pixels, and facts for the report
Repair = Callable[[Path, np.ndarray, Progress], tuple[np.ndarray, dict[str, Any]]]


def denoise(options: argparse.Namespace) -> int:
    """Remove noise of a known or an estimated level from each picture."""
    device = choose(options.device)
    loaded: dict[Path, Restorer] = {}

    def repair(
        _: Path, pixels: np.ndarray, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        auto = options.sigma == "auto"
        noise = NoiseCurve.of(pixels) if auto else NoiseCurve(options.sigma, options.sigma)
        sigma = min(noise.sigma, 255)
        about: dict[str, Any] = {"sigma": round(sigma, 1)}
        if noise.uneven:
            about |= {"black": round(noise.black, 1), "white": round(noise.white, 1)}
        if sigma < MIN_NOISE * rounding_step(pixels):
            return pixels, {**about, "weights": None}
        path = zoo.resolve(options.weights) if options.weights else zoo.denoiser(sigma)
        if path not in loaded:
            loaded[path] = _load(path, Noise, device)
        repaired = loaded[path].repair(
            noise.flatten(pixels), sigma=sigma, stride=options.stride, progress=progress
        )
        return noise.unflatten(repaired), {**about, "weights": path.name}

    if options.weights:  # report a wrong file before any picture is read
        path = zoo.resolve(options.weights)
        loaded[path] = _load(path, Noise, device)
    return repair_all(options, repair)


MIN_NOISE = 0.5  # of the rounding step of the picture's numbers; weaker noise is not removed


def remove_text(options: argparse.Namespace) -> int:
    """Remove text from each picture."""
    path = zoo.resolve(options.weights) if options.weights else zoo.text_remover()
    restorer = _load(path, Text, choose(options.device))

    def repair(
        _: Path, pixels: np.ndarray, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        return restorer.repair(pixels, stride=options.stride, progress=progress), {
            "weights": path.name
        }

    return repair_all(options, repair)


def _load(path: Path, damage: type[Noise] | type[Text], device: Device) -> Restorer:
    restorer = Restorer.load(path, device=device)
    if not isinstance(restorer.damage, damage):
        raise ValueError(
            f"{path}: trained against {type(restorer.damage).__name__.lower()}; "
            f"expected weights against {damage.__name__.lower()}"
        )
    return restorer


def repair_all(options: argparse.Namespace, repair: Repair, *, unit: str = "patch") -> int:
    """Repair every picture; report those that fail, and repair the others."""
    jobs = _jobs(options)
    reports = []
    failed = 0
    for source, target in jobs:
        try:
            reports.append(_repair_one(source, target, options, repair, unit))
        except (ValueError, OSError, MemoryError) as error:
            if len(jobs) == 1:
                raise
            failed += 1
            complain(options, error)
    if options.json:
        print(json.dumps(reports))
    if failed == len(jobs):
        return 2
    return 1 if failed else 0


def _repair_one(
    source: Path, target: Path, options: argparse.Namespace, repair: Repair, unit: str
) -> dict[str, Any]:
    _check_target(source, target, force=options.force)
    picture = read(source)
    began = time.perf_counter()
    bar = tqdm(
        desc=printable(source.name),
        unit=unit,
        unit_scale=True,
        leave=False,
        disable=options.json or None,
        total=0,
    )
    with bar:
        repaired, about = repair(source, picture.pixels, _progress_on(bar))
    _make_folder(target.parent)
    write(target, picture.with_pixels(repaired))
    height, width = repaired.shape[:2]
    report = {"in": str(source), "out": str(target), **about}
    report["seconds"] = round(time.perf_counter() - began, 2)
    if not options.json:
        said = f"sigma {about['sigma']:g}, " if "sigma" in about else ""
        if "black" in about:
            said += f"{about['black']:g} in black, {about['white']:g} in white, "
        said += "nothing to do" if about["weights"] is None else str(about["weights"])
        said += f", {report['seconds']:.1f} s"
        print(printable(f"{source} -> {target}  ({width}x{height}, {said})"))
    return report


def _progress_on(bar: Any) -> Progress:
    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return progress


def _jobs(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return (source, target) of every picture. Raises PictureError if -o does not fit."""
    found = find(options.pictures)
    out = Path(options.out)
    if not out.parent.is_dir():
        raise PictureError(f"{out}: there is no folder {out.parent}; make it first")
    if out.name.lower() in FORMATS:
        raise PictureError(f"{out}: is a suffix without a name; expected such as photo{out.name}")
    single = len(options.pictures) == 1 and not Path(options.pictures[0]).is_dir()
    if single and out.suffix and not out.is_dir():
        if out.suffix.lower() not in FORMATS:
            kinds = " ".join(FORMATS)
            raise PictureError(f"{out}: no kind of picture; expected a folder, or one of {kinds}")
        return [(found[0][0], out)]
    if (out.exists() or out.suffix.lower() in FORMATS) and not out.is_dir():
        raise PictureError(f"{out}: is a file's name; expected a folder")
    jobs: dict[Path, Path] = {}
    for source, name in found:
        target = out / _writable(name)
        if target in jobs:
            raise PictureError(
                f"{source}: would be written to {target}, as {jobs[target]}; give them apart"
            )
        jobs[target] = source
    return [(source, target) for target, source in jobs.items()]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be made ({error.strerror})") from error


def _writable(name: Path) -> Path:
    """Return the name, with .png for a kind that can be read but not written."""
    return name if name.suffix.lower() in FORMATS else name.with_suffix(".png")


def _check_target(source: Path, target: Path, *, force: bool) -> None:
    if not force and target.exists() and target.samefile(source):
        raise PictureError(
            f"{target}: is the picture itself; name another -o, or give --force to replace it"
        )
    check_absent(target, force=force)
