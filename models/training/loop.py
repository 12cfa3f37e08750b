"""The loop of a training run, for both papers: train, report, stop and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from minidl.device import Array
from minidl.models.signals import stoppable

from .run_folder import MODEL, Run, at_work

C = TypeVar("C")


class Trainer(Protocol):
    """A training, one step after another."""

    @property
    def done(self) -> int:
        """The number of steps done."""

    @property
    def total(self) -> int:
        """The number of steps in all."""

    @property
    def phase(self) -> str:
        """The name of the part of the training that is under way, or nothing."""

    def run(self) -> Iterator[object]:
        """Train to the end; yields after every step."""

    def state(self) -> tuple[Mapping[str, Mapping[str, Array]], dict[str, Any]]:
        """(groups, about) for a checkpoint."""

    def load_state(self, *saved: Any) -> None:
        """Go on from a checkpoint as if without a stop.

        Raises CheckpointError if it is not a checkpoint of an equal trainer.
        """


class Training(Protocol):
    """A trainer, and the paper's own part of a report."""

    @property
    def trainer(self) -> Trainer:
        """The trainer of the run."""

    def measure(self) -> dict[str, Any]:
        """The columns of the log after "step" and "seconds"."""

    def describe(self, row: Mapping[str, Any]) -> str:
        """A row of the log in a few words, for the progress bar."""

    def draw(self, run: Run) -> None:
        """Write the pictures of the run's folder."""

    def save(self, path: Path, **about: Any) -> None:
        """Write the trained model's file."""


T = TypeVar("T", bound=Training)


@dataclass(frozen=True)
class Reports:
    """The seconds between two reports, and whether a progress bar is shown."""

    every: float
    quiet: bool


def start(
    folder: str | Path, config: Mapping[str, Any], make: Callable[[], T], reports: Reports
) -> T:
    """Return `make()`, trained to the end in a new folder."""
    with at_work(folder):
        training = make()
        train(Run.create(folder, config), training, reports)
        return training


def resume(
    folder: str | Path,
    kind: type[C],
    columns: Mapping[str, type],
    make: Callable[[C], T],
    reports: Reports,
) -> T:
    """Return `make` of the folder's configuration, trained to the end as if without a stop.

    kind: the dataclass of the configuration. columns: the log's columns and their types.
    Raises TrainingError if the folder holds no such run, CheckpointError if its checkpoint is
    damaged or another's.
    """
    with Run.going_on(folder, kind, columns) as (run, config):
        saved = run.load()
        training = make(config)
        run.restore(training.trainer.load_state, saved)
        run.rewind(training.trainer.done)
        train(run, training, reports)
        return training


def train(run: Run, training: Training, reports: Reports) -> None:
    """Train to the end, and report every so often: a row of the log, a checkpoint, pictures.

    When a signal asks to stop, the step in progress is ended and reported before Stopped is raised.
    """
    trainer = training.trainer
    seconds = run.rows[-1]["seconds"] if run.rows else 0.0
    began = reported = time.perf_counter()
    bar = tqdm(
        total=trainer.total, initial=trainer.done, unit="step", disable=reports.quiet or None
    )

    def report() -> None:
        if run.rows and run.rows[-1]["step"] == trainer.done:
            return
        spent = round(seconds + time.perf_counter() - began, 1)
        row = {"step": trainer.done, "seconds": spent, **training.measure()}
        run.report(row, *trainer.state())
        with run.writing():
            training.draw(run)
        bar.set_postfix_str(training.describe(row))

    phase = ""
    with bar, stoppable() as asked:
        for _ in trainer.run():
            bar.update()
            if trainer.phase != phase:
                phase = trainer.phase
                bar.set_postfix_str(phase)
            if asked.is_set() or time.perf_counter() - reported >= reports.every:
                report()
                reported = time.perf_counter()
            asked.stop()
        report()
    with run.writing():
        training.save(run.folder / MODEL, config=run.config, log=run.rows[-1])
