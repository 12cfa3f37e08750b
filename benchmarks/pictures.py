"""Pictures: denoising and inpainting, in seconds and peak memory by size.

python -m benchmarks.pictures [--sizes 256 512] [--threads N | --device gpu] [--only NAME ...] ...

The chart has lines over the size, or bars for a single size.

Noise: 16x16 patches, two auto-encoders of 1280 units, stride 3. Hole: the compact net, a square of
a quarter of each side. The weights are random; trained ones take the same time. PyTorch repairs the
same patches in strips; for the hole it computes the network, and the rest is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minidl.device import CPU, Device
from minidl.models.context_encoder.inpainter import Inpainter
from minidl.models.ssda.degradation import Noise
from minidl.models.ssda.network import SSDA
from minidl.models.ssda.patch_coding import Coding
from minidl.models.ssda.restorer import STRIDE, Restorer

from . import charts, gpu, harness, memory, options
from .report import report
from .work import Step, Work, timed

if TYPE_CHECKING:
    from .torch_models import Mode

SIZES = (256, 512, 1024, 2048)
LARGE_SIDE, LARGE_ROUNDS = 1024, 3  # pixels; larger pictures need fewer rounds


def picture(size: int, channels: int) -> np.ndarray:
    """Return random pixels (size, size, channels)."""
    return np.random.default_rng(1).random((size, size, channels), dtype=np.float32)


def denoising(size: int, *, patch: int = 16, hidden: int = 1280) -> Work:
    """Return the denoising of a grey picture, size x size."""
    image = picture(size, 1)[..., 0]

    def restorer() -> Restorer:
        network = SSDA(patch * patch, (hidden, hidden), rng=np.random.default_rng(0))
        return Restorer(network, patch, Coding(), Noise(25))

    def ours(device: Device = CPU) -> Step:
        made = restorer()
        made.network.to(device).freeze_weights()
        return lambda: made.repair_channel(image)

    def theirs(mode: Mode) -> Step:
        from .torch_pictures import denoiser

        denoise = denoiser(mode, restorer(), STRIDE)
        return lambda: denoise(image)

    return Work(ours, theirs, pictures=False, batch=1)


def inpainting(size: int, *, width: float = 1.0) -> Work:
    """Return the inpainting of one hole in a colour picture, size x size."""
    pixels, mask = picture(size, 3), np.zeros((size, size), bool)
    middle = slice(size * 3 // 8, size * 5 // 8)
    mask[middle, middle] = True

    def untrained() -> Inpainter:
        rng = np.random.default_rng(0)
        return Inpainter.new("compact", "centre", overlap=4, rng=rng, width=width)[0]

    def ours(device: Device = CPU) -> Step:
        inpainter = untrained()
        inpainter.generator.to(device)
        return lambda: inpainter.inpaint(pixels, mask)

    def theirs(mode: Mode) -> Step:
        from .torch_pictures import Generator

        inpainter = untrained()
        generator = Generator(mode, inpainter.generator)
        theirs = Inpainter("compact", generator, inpainter.holes, width=width)
        return lambda: theirs.inpaint(pixels, mask)

    return Work(ours, theirs, batch=1)


KINDS: dict[str, Callable[[int], Work]] = {"denoise": denoising, "fill": inpainting}


def run_one(library: str, kind: str, size: str, mode: str, threads: str) -> None:
    """Repair one picture, for `memory`, by ours or by PyTorch in a mode."""
    options.use_threads(int(threads), torch=library == "torch")
    work = KINDS[kind](int(size))
    if library == "torch":
        from .torch_models import MODES

        work.theirs(next(m for m in MODES if m.name == mode))()
    else:
        work.ours()()


def peaks(kind: str, size: int, *, threads: int, torch: bool) -> dict[str, float]:
    """Return the peak memory of ours, and of PyTorch in its eager mode."""
    modes = ["PyTorch"] if torch else []
    work = "benchmarks.pictures:run_one"
    return memory.peaks(work, kind, str(size), threads=threads, modes=modes)


def lines(results: Sequence[harness.Result], path: Path) -> None:
    """Draw seconds and peak memory over the size, a row for each kind of work."""
    panels = []
    for kind in dict.fromkeys(r.group for r in results):
        rows = [(float(r.name.split()[-1]), r) for r in results if r.group == kind]
        seconds = {"ours": [(size, r.ours_ms / 1e3) for size, r in rows]}
        beside = [(size, r.reference_ms / 1e3) for size, r in rows if r.reference_ms is not None]
        if beside:
            seconds["torch, its best mode"] = beside
        memories = {
            name.replace("PyTorch, MiB", "torch").replace(", MiB", ""): [
                (size, r.figures[name]) for size, r in rows
            ]
            for name in rows[0][1].figures
        }
        side = "pixels to a side"
        panels.append([(f"{kind}: seconds", side, seconds)])
        if memories:
            panels[-1].append((f"{kind}: peak MiB over the imports", side, memories))
    charts.costs(panels, path, y_label="")


def main(arguments: Sequence[str] | None = None) -> None:
    """Time every kind at every size, and measure its peak memory."""
    parser = options.parser(__doc__, on_gpu=True)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="PIXELS")
    chosen = options.begin(parser, arguments)
    names = {f"{kind} {size}": (kind, size) for kind in KINDS for size in chosen.sizes}
    done: list[harness.Result] = []

    def results() -> Iterator[harness.Result]:
        for name in options.selected(names, chosen.only):
            kind, size = names[name]
            work, compiled = KINDS[kind](size), not chosen.quick
            rounds = min(chosen.rounds, LARGE_ROUNDS) if size >= LARGE_SIDE else chosen.rounds
            if chosen.device is not CPU:
                yield from gpu.timed(
                    name, kind, work, device=chosen.device, clock=chosen.clock,
                    torch=chosen.torch, compiled=compiled, rounds=rounds,
                )  # fmt: skip
                continue
            result = timed(
                name, kind, work,
                threads=chosen.threads, torch=chosen.torch, compiled=compiled, rounds=rounds,
            )  # fmt: skip
            found = peaks(kind, size, threads=chosen.threads, torch=chosen.torch)
            done.append(replace(result, figures=found))
            yield done[-1]

    several = len(set(chosen.sizes)) > 1 and chosen.device is CPU
    report(results(), chosen.json, None if several else chosen.chart)
    if several and chosen.chart:
        lines(done, chosen.chart)


if __name__ == "__main__":
    main()
