"""The folder of a training run: its configuration, log, checkpoint and pictures.

config.json              what the run was started with
log.csv                  a row at each report: step, seconds, stage, loss, rate, validation score
checkpoint.safetensors   everything needed to go on as if nothing had happened
*.png                    plots and sample pictures, drawn again at each report
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minidl import checkpoint
from minidl.device import Array


class TrainingError(RuntimeError):
    """A run that cannot start, go on, or make sense of its folder. The message is one line."""


class Run:
    """A training run's folder, made new or opened again."""

    def __init__(self, folder: Path, config: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
        self.folder, self.config, self.rows = folder, dict(config), rows

    @classmethod
    def create(cls, folder: str | Path, config: Mapping[str, Any]) -> Run:
        """Raises TrainingError if the folder holds a run already, or cannot be made."""
        folder = Path(folder)
        if (folder / "config.json").exists():
            raise TrainingError(
                f"{folder}: holds a run already; go on with it by --resume, or name another --out"
            )
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
        rows: list[dict[str, Any]] = []
        try:
            config = json.loads((folder / "config.json").read_text())
            if (folder / "log.csv").exists():
                with (folder / "log.csv").open(newline="") as file:
                    rows = list(csv.DictReader(file))
        except FileNotFoundError as error:
            raise TrainingError(f"{folder}: no run to resume (it has no config.json)") from error
        except (OSError, ValueError) as error:
            raise TrainingError(f"{folder}: the run's files cannot be read ({error})") from error
        return cls(folder, config, rows)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def report(
        self,
        row: Mapping[str, Any],
        groups: Mapping[str, Mapping[str, Array]],
        about: Mapping[str, Any],
    ) -> None:
        """Add a row to the log and replace the checkpoint. Raises TrainingError if it cannot.

        The checkpoint is written first: a row of the log never speaks of a state that is not kept.
        """
        self.rows.append(dict(row))
        try:
            checkpoint.save(self.checkpoint, groups, about)
            with checkpoint.replacing(self.folder / "log.csv") as file, file.open("w") as log:
                writer = csv.DictWriter(log, self.rows[-1].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
        except OSError as error:
            raise TrainingError(f"{self.folder}: cannot be written ({error})") from error

    def rewind(self, step: int) -> None:
        """Forget the rows after a step, when going on from its checkpoint."""
        self.rows = [row for row in self.rows if int(row["step"]) <= step]

    def column(self, name: str) -> np.ndarray:
        """One column of the log as numbers; what is empty is NaN."""
        return np.array([float(row[name]) if row[name] != "" else np.nan for row in self.rows])


def _write_text(path: Path, text: str) -> None:
    with checkpoint.replacing(path) as temporary:
        temporary.write_text(text)
