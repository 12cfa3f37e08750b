"""Cost as the batch, the picture and the number of threads grow: two training steps.

python -m benchmarks.scaling [--threads N] [--only NAME ...] [--quick] ...

--threads is the number for the first two, and the largest for the third. PyTorch runs without
torch.compile, which would compile again for every size and number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from minidl.models.context_encoder import networks
from minidl.models.context_encoder.trainer import Settings

from . import charts, harness, options
from .report import report
from .training import both_players, fine_tuning
from .work import Work, timed

BATCHES = (1, 2, 4, 8, 16, 32, 64)
AXES = {"batch": "samples in a batch", "side": "pixels to a side", "threads": "threads"}


@dataclass(frozen=True)
class Kind:
    """A step as a function of batch and side; the value of each while the other grows."""

    work: Callable[[int, int], Work]
    batch: int
    side: int
    sides: Sequence[int]


def compact(side: int) -> networks.Architecture:
    """Return the compact architecture for pictures of another size."""
    generator = partial(networks.CompactGenerator, size=side)
    return replace(
        networks.COMPACT, name=f"compact {side}", size=side, hole=side // 2, generator=generator
    )


def kinds(*, units: int = 5, width: float = 1.0) -> dict[str, Kind]:
    """Return the two steps; units: of a hidden layer, as a multiple of a patch's pixels."""

    def ssda(batch: int, side: int) -> Work:
        return fine_tuning(pixels=side * side, hidden=units * side * side, batch=batch)

    def encoder(batch: int, side: int) -> Work:
        return both_players(Settings(batch=batch, width=width), compact(side))

    return {
        "ssda fine-tuning": Kind(ssda, 64, 16, (8, 12, 16, 24)),
        "compact both players": Kind(encoder, 8, 128, (64, 96, 128, 192, 256)),
    }


def results(
    kinds: Mapping[str, Kind],
    *,
    threads: int,
    torch: bool,
    rounds: int,
    batches: Sequence[int] = BATCHES,
) -> Iterator[harness.Result]:
    """Yield a result for every point of every axis; its figures hold the point."""
    for name, kind in kinds.items():
        points = [("batch", n, n, kind.side, threads) for n in batches]
        points += [("side", s, kind.batch, s, threads) for s in kind.sides]
        points += [("threads", t, kind.batch, kind.side, t) for t in range(1, threads + 1)]
        for axis, at, batch, side, count in points:
            options.use_threads(count, torch=torch)
            result = timed(
                f"{name}, {axis} {at}", name, kind.work(batch, side),
                threads=count, torch=torch, compiled=False, rounds=rounds,
            )  # fmt: skip
            yield replace(result, figures={axis: at})


def lines(results: Sequence[harness.Result], path: Path) -> None:
    """Draw milliseconds per step over each axis, a row of panels for each step."""
    panels = []
    for name in dict.fromkeys(r.group for r in results):
        row = []
        for axis, label in AXES.items():
            rows = [r for r in results if r.group == name and axis in r.figures]
            drawn = {"ours": [(r.figures[axis], r.ours_ms) for r in rows]}
            beside = [(r.figures[axis], r.reference_ms) for r in rows if r.reference_ms is not None]
            if beside:
                drawn["torch, best of its modes"] = beside
            row.append((name, label, drawn))
        panels.append(row)
    charts.costs(panels, path, y_label="milliseconds per step")


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all points; the chart has lines."""
    chosen = options.begin(options.parser(__doc__), arguments)
    wanted = kinds()
    wanted = {name: wanted[name] for name in options.selected(wanted, chosen.only)}
    done: list[harness.Result] = []

    def kept() -> Iterator[harness.Result]:
        for result in results(
            wanted, threads=chosen.threads, torch=chosen.torch, rounds=chosen.rounds
        ):
            done.append(result)
            yield result

    report(kept(), chosen.json, None)
    if chosen.chart:
        lines(done, chosen.chart)


if __name__ == "__main__":
    main()
