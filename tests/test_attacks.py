"""The attacks themselves: they find faults, keep their files, and print how to repeat them."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.attacks import checkpoints, pictures, pool
from tests.attacks.__main__ import main
from tests.attacks.fault_drawing import ROOT, faults_of
from tests.attacks.fault_tables import NEAREST, TESTS, UNSEEN

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")


def weak(**more: Any) -> ModuleType:
    """An attack whose cases fail in every way, by their numbers."""

    def case(state: str, work: Path, random: random.Random) -> tuple[str, list[str]]:
        number = int(work.name)
        (work / "input").write_text(f"{state} {number} {random.random()}")
        if number == 1:
            raise KeyError("lost")
        if number == 2:
            os._exit(7)
        if number == 3:
            os.write(2, b"words of a library")
        if number == 4:
            time.sleep(60)
        if number == 5:
            assert len(b"x" * (64 << 20)) > 1
        return "done", ["it is odd"] if number == 6 else []

    attack: Any = ModuleType("tests.attacks.weak")
    attack.prepare, attack.case, attack.SECONDS, attack.JOBS = (lambda _: "made"), case, 1.0, 1
    for name, value in more.items():
        setattr(attack, name, value)
    return attack


def test_whatever_goes_wrong_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(pool, "PATIENCE", 0.5)
    monkeypatch.setattr(pool, "MOST_MEBIBYTES", 48.0)
    (tmp_path / "work").mkdir()
    tally = pool.run(weak(), tmp_path / "work", seed=3, seconds=60, most=8)
    memory = sys.platform == "linux" and os.access("/proc/self/clear_refs", os.W_OK)
    assert (tally.cases, tally.failures) == (8, 5 + memory)
    assert tally.outcomes["done"] >= 3
    said = capsys.readouterr().out
    for words in (
        "KeyError: 'lost'", "exit code 7", "words of a library", "no end within", "it is odd",
        "python -m tests.attacks --only weak --seed 3 --case 6",
    ):  # fmt: skip
        assert words in said
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {f"weak-3-{number}" for number in (1, 2, 3, 4, 6)} <= kept
    assert (tmp_path / "kept/weak-3-6/input").read_text().startswith("made 6 ")


def test_a_case_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEPT", tmp_path / "kept")
    texts = []
    for _ in range(2):
        tally = pool.run(weak(), tmp_path, seed=3, seconds=60, only_case=6)
        assert (tally.cases, tally.failures) == (1, 1)
        texts.append((tmp_path / "kept/weak-3-6/input").read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("attack", [pictures, checkpoints])
def test_a_few_cases_hold(attack: ModuleType, tmp_path: Path) -> None:
    tally = pool.run(attack, tmp_path, seed=0, seconds=60, most=40)
    assert tally.cases >= 40 and not tally.failures


def test_the_command_tells_the_seed_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(pictures, "read", lambda path: 1 / 0)
    assert main(["--only", "pictures", "--most", "2", "--seed", "5", "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("seed 5: python -m tests.attacks --seed 5")
    assert "ZeroDivisionError" in said and "--only pictures --seed 5 --case 1" in said
    assert "failures" in said.splitlines()[-2] and said.splitlines()[-1].split()[1:3] == ["2", "2"]


def test_faults_are_planted_in_every_folder() -> None:
    """A new folder needs a line in the table."""
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("minidl", "models")
        for path in (ROOT / top).rglob("*.py")
    }
    assert set(TESTS) == folders
    assert [file for file in NEAREST if not (ROOT / file).is_file()] == []
    named = {name for names in (*TESTS.values(), *NEAREST.values()) for name in names.split()}
    assert [n for n in sorted(named) if not (ROOT / f"tests/test_{n}.py").is_file()] == []


@pytest.mark.parametrize("path", UNSEEN)
def test_faults_that_no_test_can_see_are_named_one_by_one(path: str) -> None:
    """A reason is for one line: it must not excuse faults of others, nor outlive its line."""
    faults, lines = faults_of(ROOT / path), (ROOT / path).read_text().splitlines()
    for text, before, after in UNSEEN[path]:
        meant = [f.line for f in faults if (f.before, f.after) == (before, after)]
        assert len({n for n in meant if text in lines[n - 1]}) == 1, (text, before, meant)
