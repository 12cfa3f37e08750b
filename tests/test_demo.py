"""The demo, with networks that train for seconds instead of minutes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from minidl.models import ssda
from minidl.models.cli import demo, main
from minidl.models.images.files import read
from minidl.models.images.samples import photograph


@pytest.mark.slow
def test_it_trains_repairs_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {
        name: replace(task, steps=500, recipe=replace(task.recipe, patch=8, hidden=(96, 96)))
        for name, task in demo.TASKS.items()
    }
    monkeypatch.setattr(demo, "TASKS", small)
    monkeypatch.setattr(ssda.degradation, "SHEETS", 6)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    tables = re.findall(r"damaged +([\d.]+) dB.*\n +ours, trained just now +([\d.]+) dB", said)
    assert len(tables) == 2
    for damaged, ours in tables:
        assert float(ours) > float(damaged) + 3
    assert "non-local means" in said and "total variation" in said
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"noise.png", "text.png", "noise-repaired.png", "text-damaged.png"} <= written
    repaired = read(tmp_path / "out" / "noise-repaired.png").pixels
    assert repaired.shape == photograph(demo.HELD_OUT["noise"]).shape


def test_what_it_shows_is_not_trained_on() -> None:
    assert not set(demo.HELD_OUT.values()) - set(demo.NAMES)
    assert min(photograph(demo.HELD_OUT["hole"]).shape[:2]) > 2 * demo.HOLE
