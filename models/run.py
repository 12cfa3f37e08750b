"""The folder of a training run: its configuration, log, checkpoint and pictures.

config.json              what the run was started with
log.csv                  a row at each report: step, seconds, stage, loss, rate, validation score
checkpoint.safetensors   everything needed to go on as if nothing had happened
*.png                    plots and sample pictures, drawn again at each report
"""

from __future__ import annotations

import contextlib
import csv
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minidl import checkpoint
from minidl.device import Array

CHECKPOINT = "checkpoint.safetensors"
Saved: TypeAlias = "tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]"  # groups, about


class TrainingError(RuntimeError):
    """A run that cannot start, go on, or make sense of its folder. The message is one line."""


class Run:
    """A training run's folder, made new or opened again."""

    def __init__(self, folder: Path, config: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
        self.folder, self.config, self.rows = folder, dict(config), rows
        self._known = self._log()

    def _log(self) -> str:
        """The log as it is on disk."""
        log = self.folder / "log.csv"
        return log.read_text() if log.exists() else ""

    @staticmethod
    def check_new(folder: str | Path) -> None:
        """Raises TrainingError for a folder that holds a run already, or that is a file.

        A run that was stopped before its first checkpoint has nothing to go on with, and is none.
        """
        config = Path(folder) / "config.json"
        if (Path(folder) / CHECKPOINT).exists() or (config.exists() and not _began(config)):
            raise TrainingError(
                f"{folder}: holds a run already; go on with it by --resume, or name another --out"
            )
        if Path(folder).exists() and not Path(folder).is_dir():
            raise TrainingError(f"{folder}: is a file; name a folder for the run")

    @classmethod
    def create(cls, folder: str | Path, config: Mapping[str, Any]) -> Run:
        """Raises TrainingError if the folder holds a run already, or cannot be made."""
        cls.check_new(folder)
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(folder, config, [])
            _write_text(folder / "config.json", json.dumps(run.config, indent=2) + "\n")
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be used for a run ({error.strerror})") from error
        return run

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Raises TrainingError if there is no run, or its files are not what was written."""
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise TrainingError(f"{folder}: no run to resume (it has no config.json)")
        try:
            config = json.loads((folder / "config.json").read_text())
            if not isinstance(config, dict):
                raise ValueError("config.json holds no names and values")
            return cls(folder, config, _read_rows(folder / "log.csv"))
        except (OSError, ValueError, csv.Error) as error:
            raise TrainingError(f"{folder}: the run's files cannot be read ({error})") from error

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def load(self) -> Saved:
        """(groups, about) of the checkpoint. Raises TrainingError if the run has not come so far,
        CheckpointError if it cannot be read."""
        if not self.checkpoint.exists():
            raise TrainingError(
                f"{self.folder}: was stopped before its first checkpoint; begin it again by --out"
            )
        return checkpoint.load(self.checkpoint)

    def restore(self, load_state: Callable[..., None], saved: Saved) -> None:
        """Give a trainer's `load_state` what `load` gave. Raises CheckpointError, which names the
        file, if it is not one of an equal trainer."""
        try:
            load_state(*saved)
        except checkpoint.CheckpointError as error:
            raise checkpoint.CheckpointError(f"{self.checkpoint}: {error}") from error

    def report(
        self,
        row: Mapping[str, Any],
        groups: Mapping[str, Mapping[str, Array]],
        about: Mapping[str, Any],
    ) -> None:
        """Add a row to the log and replace the checkpoint. Raises TrainingError if it cannot, or if
        another training has written here since: one of two that share a folder has to stop.

        The checkpoint is written first: a row of the log never speaks of a state that is not kept.
        """
        self.rows.append(dict(row))
        with self.writing():
            if self._log() != self._known:
                raise TrainingError(f"{self.folder}: another training goes on here; this one stops")
            checkpoint.save(self.checkpoint, groups, about)
            with checkpoint.replacing(self.folder / "log.csv") as file, file.open("w") as log:
                writer = csv.DictWriter(log, self.rows[-1].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
            self._known = self._log()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turns every OSError within into a TrainingError that names the folder."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(f"{self.folder}: cannot be written ({reason})") from error

    def rewind(self, step: int) -> None:
        """Forget the rows after a step, when going on from its checkpoint."""
        self.rows = [row for row in self.rows if row["step"] <= step]

    def column(self, name: str) -> np.ndarray:
        """One column of the log as numbers; what is empty is NaN."""
        return np.array([float(row[name]) if row[name] != "" else np.nan for row in self.rows])


@contextlib.contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Within, Ctrl-C only sets the event, so that a step ends whole; a second one strikes at once.

    Where Ctrl-C is ignored, or is another's business, it stays so.
    """
    asked = threading.Event()
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _began(config: Path) -> bool:
    """Whether a config.json is that of a run, which may have stopped at once."""
    try:
        return {"model", "data"} <= set(json.loads(config.read_text()))
    except (OSError, ValueError, TypeError):
        return False


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; none if there is no file. Raises ValueError if some are not whole."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]
    if not all(isinstance(row.get("step"), int) and None not in row.values() for row in rows):
        raise ValueError(f"{path.name} is damaged")
    return rows


def _value(text: Any) -> Any:
    """A cell of a log as it was before it became text."""
    for kind in (int, float):
        with contextlib.suppress(ValueError, TypeError):
            return kind(text)
    return text


def _write_text(path: Path, text: str) -> None:
    with checkpoint.replacing(path) as temporary:
        temporary.write_text(text)
