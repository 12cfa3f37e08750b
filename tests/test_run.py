"""A run's folder: its files, and the errors if they cannot be written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint
from minidl.models.training.run_folder import Run, TrainingError, locked

CONFIG = {"model": "ssda", "damage": {"kind": "noise", "sigma": 25.0}, "data": "größe/"}
ROWS: list[dict[str, Any]] = [
    {"step": 5, "seconds": 0.5, "stage": "auto-encoder 1, the first", "loss": 1 / 3, "rate": 1e-3},
    {"step": 9, "seconds": 1.0, "stage": "fine-tuning", "loss": 1e-9, "rate": 0.0},
    {"step": 12, "seconds": 1.5, "stage": "fine-tuning", "loss": float("inf"), "rate": 0.0},
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Make a run with three reports."""
    run = Run.create(tmp_path / "runs/first", CONFIG)
    for i, row in enumerate(ROWS):
        run.report(row, {"model": {"w": np.full(3, i, np.float32)}}, {"step": row["step"]})
    return run


def test_what_is_written_is_read(run: Run) -> None:
    opened = Run.open(run.folder)
    assert opened.config == CONFIG and opened.rows == ROWS
    groups, about = checkpoint.load(opened.checkpoint)
    assert about == {"step": 12, "config": CONFIG} and (groups["model"]["w"] == 2).all()
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"config.json", "log.csv", "checkpoint.safetensors"}


def test_columns_are_numbers(run: Run) -> None:
    for each in (run, Run.open(run.folder)):
        np.testing.assert_array_equal(each.column("loss"), [1 / 3, 1e-9, np.inf])
        assert each.column("step").tolist() == [5, 9, 12]
    run.rows[1]["loss"] = ""
    assert np.isnan(run.column("loss")[1])


def test_a_log_may_begin_before_the_first_step(run: Run) -> None:
    (run.folder / "log.csv").write_text("step,loss\n0,1\n1,0\n")
    assert [row["step"] for row in Run.open(run.folder).rows] == [0, 1]


def test_rewind_then_report(run: Run) -> None:
    opened = Run.open(run.folder)
    opened.rewind(9)
    assert opened.rows == ROWS[:2]
    opened.report(ROWS[2], {}, {})
    assert Run.open(run.folder).rows == ROWS


def test_a_folder_that_holds_a_run_is_refused(run: Run) -> None:
    before = (run.folder / "config.json").read_bytes()
    for create in (Run.create, lambda folder, _: Run.check_new(folder)):
        with pytest.raises(TrainingError, match="holds a run already; continue it with --resume"):
            create(run.folder, {})
    assert (run.folder / "config.json").read_bytes() == before


def test_a_run_that_stopped_at_once_can_begin_again(tmp_path: Path) -> None:
    started = Run.create(tmp_path / "run", CONFIG)
    with pytest.raises(TrainingError, match="run: was stopped before its first checkpoint; begin"):
        Run.open(started.folder).load()
    again = Run.create(tmp_path / "run", {**CONFIG, "seed": 7})
    assert Run.open(again.folder).config["seed"] == 7
    again.report(ROWS[0], {}, {"step": 5})
    assert Run.open(again.folder).load() == ({}, {"step": 5})


def test_a_config_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    for content in ('{"name": "a web page"}', '{"model": "x"}', "[1]", "no JSON"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(TrainingError, match="holds a run already"):
            Run.create(tmp_path, CONFIG)
        assert (tmp_path / "config.json").read_text() == content


def test_a_config_of_a_run_is_told_by_two_names(tmp_path: Path) -> None:
    for content in ('{"model": "x", "data": "y"}', '{"model": 1, "data": 2, "seed": 3}'):
        (tmp_path / "config.json").write_text(content)
        Run.check_new(tmp_path)
        assert Run.create(tmp_path, CONFIG).config == CONFIG


def test_a_folder_with_other_files_is_welcome(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    Run.create(tmp_path, CONFIG)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="file: is a file; name a folder"):
        Run.create(tmp_path / "file", {})
    with pytest.raises(TrainingError, match=r"cannot be used for a run \(Not a directory\)"):
        Run.create(tmp_path / "file/run", {})


def test_folders_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(TrainingError, match=r"cannot be used for a run \(Permission denied\)"):
        Run.create(tmp_path / "new", {})
    with pytest.raises(TrainingError, match=r"first: cannot be written \(Permission denied\)"):
        run.report(ROWS[0], {}, {})


BAD = [
    ("config.json", b'{"model": '),
    ("config.json", b""),
    ("config.json", b"\xff\xfe\x00"),
    ("config.json", b"[1, 2]"),
    ("log.csv", b"step,loss\nfive,1\n"),
    ("log.csv", b"other,loss\n5,1\n"),
    ("log.csv", b"step,loss\n5\n"),
    ("log.csv", b"\xff\xfe\x00\x00"),
    ("log.csv", b"step,loss\n5,1,2\n"),
    ("log.csv", b"step,loss\n-1,1\n"),
    ("log.csv", b"step,loss\n5,1\n5,1\n"),
    ("log.csv", b"step,seconds\n5,nan\n"),
    ("log.csv", b"step,seconds\n5,soon\n"),
    ("config.json", b"[" * 100000),
    ("config.json", b'{"model": 1, "model": 2}'),
    ("config.json", b'{"a": ' + b"1" * 5000 + b"}"),
    ("config.json", b" " * (1 << 20) + b"{}"),
]


@pytest.mark.parametrize(("name", "content"), BAD, ids=range(len(BAD)))
def test_damaged_files_are_refused(run: Run, name: str, content: bytes) -> None:
    (run.folder / name).write_bytes(content)
    with pytest.raises(TrainingError, match="the run's files cannot be read") as caught:
        Run.open(run.folder)
    assert str(caught.value).startswith(f"{run.folder}: ") and "\n" not in str(caught.value)


def test_no_run_and_no_log(run: Run, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing", run.folder / "log.csv"):
        with pytest.raises(TrainingError, match=f"{folder}: no run to resume"):
            Run.open(folder)
    (run.folder / "log.csv").unlink()
    assert Run.open(run.folder).rows == []
    (run.folder / "log.csv").write_bytes(b"")
    assert Run.open(run.folder).rows == []


# --- two trainings, two configurations ------------------------------------------------------------


def test_a_folder_at_work_is_refused(run: Run, tmp_path: Path) -> None:
    with locked(run.folder):
        refused: list[Callable[[], object]] = [
            lambda: Run.check_new(run.folder),
            lambda: locked(run.folder).__enter__(),
            lambda: Run.resuming(run.folder, Any, {}).__enter__(),
        ]
        for use in refused:
            with pytest.raises(TrainingError, match="first: another training is at work here"):
                use()
    with locked(run.folder):  # it is free again
        pass


def test_a_new_folder_stays_only_if_it_is_used(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "a/b"):
        assert (tmp_path / "a/b").is_dir()
        raise KeyError
    assert not (tmp_path / "a/b").exists()
    with locked(tmp_path / "c"):
        Run.create(tmp_path / "c", CONFIG)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["config.json"]
    (tmp_path / "empty").mkdir()
    with locked(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    for name in ("log.csv", "samples.png", "curves.png", "filters.png", "model.safetensors"):
        path = tmp_path / name
        path.write_text("mine")
        with pytest.raises(TrainingError, match=f"{name}: exists already; a run would replace it"):
            Run.create(tmp_path, CONFIG)
        assert [p.name for p in tmp_path.iterdir()] == [name] and path.read_text() == "mine"
        path.unlink()


def test_a_checkpoint_of_another_configuration_is_refused(run: Run) -> None:
    other = {**CONFIG, "data": "elsewhere/"}
    (run.folder / "config.json").write_text(json.dumps(other))
    words = r"made with another configuration than that of config\.json \('data' is 'größe/', there"
    with pytest.raises(checkpoint.CheckpointError, match=words):
        Run.open(run.folder).load()
    groups, about = checkpoint.load(run.checkpoint)
    others: list[Any] = [[], None, "text"]
    for config in others:
        checkpoint.save(run.checkpoint, groups, {**about, "config": config})
        with pytest.raises(checkpoint.CheckpointError, match="another configuration"):
            Run.open(run.folder).load()
    del about["config"]  # like runs before they stored one
    checkpoint.save(run.checkpoint, groups, about)
    assert Run.open(run.folder).load()[1] == {"step": 12}


@dataclass(frozen=True)
class Config:
    model: str
    steps: int = 3


@pytest.mark.parametrize("text", ["{}", '{"model": 3}', '{"model": "a", "more": 1}'])
def test_a_configuration_of_another_kind_is_refused(run: Run, text: str) -> None:
    (run.folder / "config.json").write_text(text)
    with pytest.raises(TrainingError, match=r"config\.json is not that of such a run \(config\."):
        Run.resuming(run.folder, Config, COLUMNS).__enter__()


COLUMNS: dict[str, type] = {
    "step": int, "seconds": float, "stage": str, "loss": float, "rate": float,
}  # fmt: skip


def test_a_log_of_other_columns_is_refused(run: Run) -> None:
    assert Run.open(run.folder, COLUMNS).rows == ROWS
    log = run.folder / "log.csv"
    text = log.read_text()
    log.write_text(text.replace("0.001", ""))  # unknown values are empty
    assert Run.open(run.folder, COLUMNS).rows[0]["rate"] == ""
    for wrong in (text.replace("rate", "pace"), text.replace("0.001", "fast")):
        log.write_text(wrong)
        with pytest.raises(TrainingError, match="expected step, seconds, stage, loss, rate in"):
            Run.open(run.folder, COLUMNS)


def test_of_two_trainings_in_a_folder_one_stops(tmp_path: Path) -> None:
    """A training stops, before it writes, if its log has lines of another one."""
    first = Run.create(tmp_path / "run", CONFIG)
    first.report(ROWS[0], {}, {"step": 1})
    second = Run.open(first.folder)
    first.report(ROWS[1], {}, {"step": 2})
    with pytest.raises(TrainingError, match="another training has written here"):
        second.report(ROWS[1], {}, {"step": 9})
    assert Run.open(first.folder).load() == ({}, {"step": 2})
    first.report(ROWS[1], {}, {"step": 3})


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
@pytest.mark.parametrize("name", ["config.json", "log.csv"])
def test_pipes_are_not_waited_for(run: Run, name: str) -> None:
    (run.folder / name).unlink()
    os.mkfifo(run.folder / name)
    with pytest.raises(TrainingError, match=f"{name} is a pipe, expected a file"):
        Run.open(run.folder)
