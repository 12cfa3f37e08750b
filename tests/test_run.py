"""A run's folder: what is kept, and what is said when it cannot be."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint
from models.run import Run, TrainingError, stoppable

pytestmark = pytest.mark.usefixtures("ctrl_c")
CONFIG = {"model": "ssda", "damage": {"kind": "noise", "sigma": 25.0}, "data": "größe/"}
ROWS: list[dict[str, Any]] = [
    {"step": 5, "seconds": 0.5, "stage": "auto-encoder 1, the first", "loss": 1 / 3, "rate": 1e-3},
    {"step": 9, "seconds": 1.0, "stage": "fine-tuning", "loss": 1e-9, "rate": 0.0},
    {"step": 12, "seconds": 1.5, "stage": "fine-tuning", "loss": float("inf"), "rate": 0.0},
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with three reports."""
    run = Run.create(tmp_path / "runs/first", CONFIG)
    for i, row in enumerate(ROWS):
        run.report(row, {"model": {"w": np.full(3, i, np.float32)}}, {"step": row["step"]})
    return run


def test_what_is_written_is_read(run: Run) -> None:
    opened = Run.open(run.folder)
    assert opened.config == CONFIG and opened.rows == ROWS
    groups, about = checkpoint.load(opened.checkpoint)
    assert about == {"step": 12} and (groups["model"]["w"] == 2).all()
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"config.json", "log.csv", "checkpoint.safetensors"}


def test_columns_are_numbers(run: Run) -> None:
    for each in (run, Run.open(run.folder)):
        np.testing.assert_array_equal(each.column("loss"), [1 / 3, 1e-9, np.inf])
        assert each.column("step").tolist() == [5, 9, 12]
    run.rows[1]["loss"] = ""
    assert np.isnan(run.column("loss")[1])


def test_rewind_then_report(run: Run) -> None:
    opened = Run.open(run.folder)
    opened.rewind(9)
    assert opened.rows == ROWS[:2]
    opened.report(ROWS[2], {}, {})
    assert Run.open(run.folder).rows == ROWS


def test_a_folder_that_holds_a_run_is_refused(run: Run) -> None:
    before = (run.folder / "config.json").read_bytes()
    for create in (Run.create, lambda folder, _: Run.check_new(folder)):
        with pytest.raises(TrainingError, match="holds a run already; go on with it by --resume"):
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
    for content in ('{"name": "a web page"}', "[1]", "no JSON"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(TrainingError, match="holds a run already"):
            Run.create(tmp_path, CONFIG)
        assert (tmp_path / "config.json").read_text() == content


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
]


@pytest.mark.parametrize(("name", "content"), BAD, ids=str)
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


# --- Ctrl-C --------------------------------------------------------------------------------------


def test_ctrl_c_waits_for_the_end_of_a_step_and_strikes_the_second_time() -> None:
    with stoppable() as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGINT)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_others_that_listen_to_ctrl_c_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_off_the_main_thread_nothing_is_listened_to() -> None:
    seen = []

    def work() -> None:
        with stoppable() as asked:
            seen.append(asked.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_of_two_trainings_in_a_folder_one_stops(tmp_path: Path) -> None:
    """The one whose log is no longer what it has written, before it writes anything."""
    first = Run.create(tmp_path / "run", CONFIG)
    first.report(ROWS[0], {}, {"step": 1})
    second = Run.open(first.folder)
    first.report(ROWS[1], {}, {"step": 2})
    with pytest.raises(TrainingError, match="another training goes on here"):
        second.report(ROWS[1], {}, {"step": 9})
    assert Run.open(first.folder).load() == ({}, {"step": 2})
    first.report(ROWS[1], {}, {"step": 3})
