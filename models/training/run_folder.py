"""The folder of a training run: its configuration, log, checkpoint and pictures.

config.json              the configuration of the run
log.csv                  a row at each report: step, seconds, stage, loss, rate, validation score
checkpoint.safetensors   all that is needed to resume exactly
model.safetensors        the trained model, at the end
*.png                    plots and sample pictures, drawn again at each report

The folder is locked while a training writes to it. The checkpoint holds the configuration, so that
no run resumes from another one's.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from minidl import checkpoint, files, schema
from minidl.device import Array

CONFIG, LOG = "config.json", "log.csv"
CHECKPOINT, MODEL = "checkpoint.safetensors", "model.safetensors"
WRITTEN = (LOG, CHECKPOINT, MODEL, "curves.png", "filters.png", "samples.png")  # beside CONFIG
MAX_CONFIG_BYTES = 1 << 20  # of a config.json
T = TypeVar("T")
Saved: TypeAlias = "tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]"  # groups, about


class TrainingError(RuntimeError):
    """A run cannot start or resume, or its folder is damaged. The message is one line."""


class Run:
    """The folder of a training run, new or opened again."""

    def __init__(self, folder: Path, config: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
        self.folder, self.config, self.rows = folder, dict(config), rows
        self._known = self._log()

    def _log(self) -> str:
        """Return the log as it is on disk."""
        log = self.folder / LOG
        return files.read_text(log) if os.path.lexists(log) else ""

    @staticmethod
    def check_new(folder: str | Path) -> None:
        """Raise TrainingError for a folder that holds a run or is in use, and for a file.

        A run that was stopped before its first checkpoint cannot be resumed, and does not count.
        """
        folder = Path(folder)
        with locked(folder) if folder.is_dir() else contextlib.nullcontext():
            _check_new(folder)

    @classmethod
    def create(cls, folder: str | Path, config: Mapping[str, Any]) -> Run:
        """Create a run. Raises TrainingError if the folder holds one or cannot be created."""
        folder = Path(folder)
        _check_new(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(folder, config, [])
            with files.replacing(folder / CONFIG) as temporary:
                temporary.write_text(json.dumps(run.config, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be used for a run ({error.strerror})") from error
        return run

    @classmethod
    def open(cls, folder: str | Path, columns: Mapping[str, type] | None = None) -> Run:
        """Open a run. columns: the types of the log's columns (int, float, str), to check them.

        Raises TrainingError if there is no run, or if its files are damaged.
        """
        folder = Path(folder)
        if not os.path.lexists(folder / CONFIG):
            raise TrainingError(f"{folder}: no run to resume (it has no {CONFIG})")
        try:
            config = schema.parse(files.read_text(folder / CONFIG, most=MAX_CONFIG_BYTES))
            if not isinstance(config, dict):
                raise ValueError(f"{CONFIG} holds no names and values")
            return cls(folder, config, _read_rows(folder / LOG, columns))
        except (OSError, ValueError, csv.Error) as error:
            raise TrainingError(f"{folder}: the run's files cannot be read ({error})") from error

    @classmethod
    @contextlib.contextmanager
    def resuming(
        cls, folder: str | Path, kind: type[T], columns: Mapping[str, type]
    ) -> Iterator[tuple[Run, T]]:
        """Yield a folder's run and its configuration, a dataclass; keep the folder locked.

        Raises TrainingError as `open`, or if the configuration is of another kind.
        """
        if not os.path.isdir(folder):
            raise TrainingError(f"{folder}: no run to resume (it is no folder)")
        with locked(folder):
            run = cls.open(folder, columns)
            try:
                config: T = schema.read(kind, run.config, CONFIG)
            except ValueError as error:
                raise TrainingError(
                    f"{folder}: {CONFIG} is not that of such a run ({error})"
                ) from error
            yield run, config

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def load(self) -> Saved:
        """Return (groups, about) of the checkpoint.

        Raises TrainingError if there is none, CheckpointError if it cannot be read or belongs to
        another configuration.
        """
        if not self.checkpoint.exists():
            raise TrainingError(
                f"{self.folder}: was stopped before its first checkpoint; begin it again with --out"
            )
        groups, about = checkpoint.load(self.checkpoint)
        made_by = about.pop("config", self.config)  # the first checkpoints had none
        if made_by != self.config:
            raise checkpoint.CheckpointError(
                f"{self.checkpoint}: was made with another configuration than that of {CONFIG} "
                f"({_difference(made_by, self.config)}); put the right file back, or begin again "
                "with another --out"
            )
        return groups, about

    def restore(self, load_state: Callable[..., None], saved: Saved) -> None:
        """Call a trainer's `load_state` with the result of `load`.

        Raises CheckpointError, which names the file, for a checkpoint of another trainer.
        """
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
        """Add a row to the log and replace the checkpoint.

        Raises TrainingError if it cannot, or if another training has written to the folder since
        the last report: one of the two has to stop. The checkpoint is written first, so that every
        row of the log has its state on disk.
        """
        self.rows.append(dict(row))
        with self.writing():
            if self._log() != self._known:
                raise TrainingError(
                    f"{self.folder}: another training has written here; this one stops"
                )
            checkpoint.save(self.checkpoint, groups, {**about, "config": self.config})
            with files.replacing(self.folder / LOG) as file, file.open("w", newline="") as log:
                writer = csv.DictWriter(log, self.rows[-1].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
            self._known = self._log()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn every OSError within the block into a TrainingError that names the folder."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise TrainingError(f"{self.folder}: cannot be written ({reason})") from error

    def rewind(self, step: int) -> None:
        """Drop the rows after the step of the checkpoint from which a run resumes."""
        self.rows = [row for row in self.rows if row["step"] <= step]

    def column(self, name: str) -> np.ndarray:
        """Return one column of the log as numbers; empty cells are NaN."""
        return np.array([float(row[name]) if row[name] != "" else np.nan for row in self.rows])


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Lock the folder within the block. It is created if missing, and removed again if empty.

    Raises TrainingError if another training has locked it, or if it cannot be created.
    """
    folder = Path(folder)
    made = not folder.is_dir()
    with contextlib.ExitStack() as exits:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            exits.enter_context(files.locked(folder))
        except BlockingIOError as error:
            raise TrainingError(
                f"{folder}: another training is at work here; wait for its end, or name another "
                "folder"
            ) from error
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be used for a run ({error.strerror})") from error
        if made:
            exits.callback(_remove_empty, folder)
        yield


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is not empty
        folder.rmdir()


def _check_new(folder: Path) -> None:
    """Raise TrainingError if a new run would write over a file."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise TrainingError(f"{folder}: is a file; name a folder for the run")
    began = _began(folder / CONFIG)
    if (folder / CHECKPOINT).exists() or (os.path.lexists(folder / CONFIG) and not began):
        raise TrainingError(
            f"{folder}: holds a run already; continue it with --resume, or name another --out"
        )
    for name in WRITTEN:
        if os.path.lexists(folder / name):
            raise TrainingError(
                f"{folder / name}: exists already; a run would replace it, name another --out"
            )


def _began(config: Path) -> bool:
    """Return whether a config.json belongs to a training, which may have stopped at once."""
    try:
        return {"model", "data"} <= set(
            schema.parse(files.read_text(config, most=MAX_CONFIG_BYTES))
        )
    except (OSError, ValueError, TypeError):
        return False


def _difference(one: Any, other: dict[str, Any]) -> str:
    """Return the first name whose values differ, and both values, in words."""
    if not isinstance(one, dict):
        return "it has no names"
    name = next(name for name in [*one, *other] if one.get(name) != other.get(name))
    return f"{name!r} is {reprlib.repr(one.get(name))}, there {reprlib.repr(other.get(name))}"


def _read_rows(path: Path, columns: Mapping[str, type] | None) -> list[dict[str, Any]]:
    """Return the rows of a log; none without a file. Raises ValueError for a damaged row."""
    if not os.path.lexists(path):
        return []
    lines = csv.DictReader(io.StringIO(files.read_text(path), newline=""))
    rows = [{name: _value(text) for name, text in row.items()} for row in lines]
    before = -1
    for row in rows:
        step, seconds = row.get("step"), row.get("seconds", 0.0)
        if not isinstance(step, int) or not step > before or _ragged(row):
            raise ValueError(f"{path.name} is damaged: its steps do not rise")
        if isinstance(seconds, str) or not math.isfinite(seconds):
            raise ValueError(f"{path.name} is damaged: seconds of {seconds!r}")
        if columns is not None and not _fits(row, columns):
            raise ValueError(f"{path.name} is damaged: expected {', '.join(columns)} in each row")
        before = step
    return rows


def _ragged(row: Mapping[Any, Any]) -> bool:
    """Return whether a row has more or fewer cells than there are names."""
    return None in row or None in row.values()


def _fits(row: Mapping[str, Any], columns: Mapping[str, type]) -> bool:
    """Return whether a row has these columns in this order, with numbers or nothing in them."""
    return list(row) == list(columns) and all(
        kind is str or row[name] == "" or isinstance(row[name], int | float)
        for name, kind in columns.items()
    )


def _value(text: Any) -> Any:
    """Return a cell of a log as a number if it is one, else as text."""
    for kind in (int, float):
        with contextlib.suppress(ValueError, TypeError):
            return kind(text)
    return text
