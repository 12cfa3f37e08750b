"""The loop of a training run, for both papers: train, report, stop and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from minidl.device import Array
from minidl.models.signals import stop_after_step

from .run_folder import MODEL, Run, locked

C = TypeVar("C")


class Trainer(Protocol):
    """The trainer of a network, which takes one step after another."""

    @property
    def done(self) -> int:
        """The number of steps done."""

    @property
    def total(self) -> int:
        """The number of steps in all."""

    @property
    def phase(self) -> str:
        """The name of the current stage, or nothing."""

    def run(self) -> Iterator[object]:
        """Train to the end; yield after every step."""

    def state(self) -> tuple[Mapping[str, Mapping[str, Array]], dict[str, Any]]:
        """Return (groups, about) for a checkpoint."""

    def load_state(self, *saved: Any) -> None:
        """Resume from a checkpoint as if without a stop.

        Raises CheckpointError if it is not a checkpoint of an equal trainer.
        """


class Training(Protocol):
    """A trainer, and the part of its reports that belongs to one paper."""

    @property
    def trainer(self) -> Trainer:
        """The trainer of the run."""

    def measure(self) -> dict[str, Any]:
        """Return the columns of the log after "step" and "seconds"."""

    def describe(self, row: Mapping[str, Any]) -> str:
        """Return a row of the log in words, for the progress bar."""

    def draw(self, run: Run) -> None:
        """Write the pictures of the run's folder."""

    def save(self, path: Path, **about: Any) -> None:
        """Write the trained model's file."""


T = TypeVar("T", bound=Training)


@dataclass(frozen=True)
class Reports:
    """The seconds between two reports; quiet: no progress bar."""

    every: float
    quiet: bool


def start(
    folder: str | Path, config: Mapping[str, Any], make: Callable[[], T], reports: Reports
) -> T:
    """Return `make()`, trained to the end in a new folder."""
    with locked(folder):
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
    """Return `make(config)` of the folder's run, trained to the end as if without a stop.

    kind: the dataclass of the configuration. columns: the log's columns and their types.
    Raises TrainingError if the folder holds no such run, CheckpointError if its checkpoint is
    damaged or another's.
    """
    with Run.resuming(folder, kind, columns) as (run, config):
        saved = run.load()
        training = make(config)
        run.restore(training.trainer.load_state, saved)
        run.rewind(training.trainer.done)
        train(run, training, reports)
        return training


def train(run: Run, training: Training, reports: Reports) -> None:
    """Train to the end. Each report writes a row of the log, a checkpoint and pictures.

    When a signal asks to stop, the current step is finished and reported before Stopped is raised.
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
    with bar, stop_after_step() as request:
        for _ in trainer.run():
            bar.update()
            if trainer.phase != phase:
                phase = trainer.phase
                bar.set_postfix_str(phase)
            if request.is_set() or time.perf_counter() - reported >= reports.every:
                report()
                reported = time.perf_counter()
            request.stop()
        report()
    with run.writing():
        training.save(run.folder / MODEL, config=run.config, log=run.rows[-1])
