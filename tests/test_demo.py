"""The demo, with networks that train for seconds instead of minutes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import device
from minidl.models import ssda
from minidl.models.cli import demo, main
from minidl.models.images.corruptions import add_text
from minidl.models.images.files import read
from minidl.models.images.samples import grey, photograph
from minidl.models.ssda import Noise, Restorer, Text


@pytest.mark.slow
def test_it_trains_repairs_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {
        name: replace(task, steps=500, recipe=replace(task.recipe, patch=8, hidden=(96, 96)))
        for name, task in demo.TASKS.items()
    }
    monkeypatch.setattr(demo, "TASKS", small)
    monkeypatch.setattr(ssda.degradation, "SHEET_COUNT", 6)
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
    assert min(photograph(demo.HELD_OUT["hole"]).shape[:2]) > 2 * demo.HOLE_SIDE


# --- its parts, without the training --------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Use corners of photographs and untrained networks, and record calls, drawings and files."""
    seen: dict[str, Any] = {"drawn": [], "written": [], "asked": []}
    monkeypatch.setattr(demo, "photograph", lambda name: photograph(name)[100:220, 100:240])

    def untrained(task: demo.Task, images: list[np.ndarray], seed: int, device: Any) -> Restorer:
        seen["asked"].append((task.title, len(images), seed, device.name))
        seen["images"] = images
        small = replace(task.recipe, patch=8, hidden=(8, 8))
        return small.untrained(task.damage, np.random.default_rng(0))

    monkeypatch.setattr(demo, "_train", untrained)
    monkeypatch.setattr(
        demo.plots, "side_by_side", lambda path, rows: seen["drawn"].append((path.name, rows))
    )
    monkeypatch.setattr(
        demo, "write", lambda path, pixels: seen["written"].append((path.name, pixels))
    )
    return seen


def test_it_says_what_it_does(
    quick: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "a/b"), "--seed", "3", "--device", "cpu"]) == 0
    assert quick["asked"] == [
        ("noise of sigma 25", 7, 3, "cpu"), ("text of 18 to 24 pixels", 7, 3, "cpu")
    ]  # fmt: skip
    assert {image.shape for image in quick["images"]} == {(120, 140)}
    said = capsys.readouterr().out.splitlines()
    number = r" +(\d+\.\d\d) dB  0\.\d{3}"
    ours, shipped = "  ours, trained just now", "  ours, shipped weights"
    expected = [
        r"Training on 7 photographs that come with scikit-image and matplotlib\.", "",
        r"coffee, noise of sigma 25           PSNR     SSIM",
        f"  damaged{number}", ours + number, shipped + number,
        f"  non-local means{number}", f"  total variation{number}",
        r"\(repaired in \d\d?\.\d s, 140x120 pixels\)", "", "",
        r"chelsea, text of 18 to 24 pixels    PSNR     SSIM",
        f"  damaged{number}", ours + number, shipped + number,
        r"\(repaired in \d\d?\.\d s, 140x120 pixels\)", "", "",
        r"rocket, a hole of 96 pixels         PSNR     SSIM",
        f"  damaged{number}", shipped + number, f"  a membrane{number}",
        r"\(PSNR over the hole, SSIM over the picture\)", "",
        rf"Look at the pictures in {tmp_path}/a/b\.",
    ]  # fmt: skip
    assert len(said) == len(expected)
    values: list[float] = []
    for line, pattern in zip(said, expected, strict=True):
        match = re.fullmatch(pattern, line)
        assert match, line
        values += map(float, match.groups())
    damaged, _, best, means, variation, written, _, removed, hole, filled, membrane = values
    assert damaged == pytest.approx(20.17, abs=0.3) and best > damaged + 7
    assert min(means, variation) > damaged + 5 and removed > written + 5
    assert min(filled, membrane) > hole + 3
    names = ["noise", "text"]
    assert [name for name, _ in quick["written"]] == [
        f"{name}-{part}.png" for name in names for part in ("damaged", "repaired")
    ]
    assert all(pixels.shape == (120, 140, 3) for _, pixels in quick["written"])
    assert [name for name, _ in quick["drawn"]] == [f"{name}.png" for name in (*names, "hole")]
    (_, (whole, detail)), _, (_, (filling,)) = quick["drawn"]
    assert list(whole) == [
        f"damaged, {damaged:.2f} dB", f"ours, trained just now, {values[1]:.2f} dB", "clean"
    ]  # fmt: skip
    for enlarged, picture in zip(detail.values(), whole.values(), strict=True):
        np.testing.assert_array_equal(enlarged, picture[45:75, 52:87])
    assert list(filling) == [
        f"damaged, {hole:.2f} dB", f"ours, shipped weights, {filled:.2f} dB",
        f"a membrane, {membrane:.2f} dB", "clean",
    ]  # fmt: skip
    changed = (filling["clean"] != next(iter(filling.values()))).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 107, 22, 117)


def test_it_does_without_the_weights_of_the_package(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.zoo, "FOLDER", tmp_path)
    assert main(["demo", "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert [name for name, _ in quick["drawn"]] == ["noise.png", "text.png"]


def test_nothing_is_replaced_unasked(
    quick: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in demo.WRITTEN:
        path = tmp_path / name
        path.write_text("mine")
        assert main(["demo", "--out", str(tmp_path)]) == 2
        assert f"{name}: exists already" in capsys.readouterr().err
        path.unlink()
    path.write_text("mine")
    monkeypatch.setattr(demo.zoo, "FOLDER", tmp_path)  # without weights it is quick
    assert main(["demo", "--out", str(tmp_path), "--force", "--device", "cpu"]) == 0


def test_text_of_the_demo_is_less_dense() -> None:
    clean = np.full((200, 200, 1), 0.5, np.float32)
    sparse = demo._degrade(clean, Text(18, 24), 0)
    expected = add_text(clean, np.random.default_rng(0), sizes=(18, 24), spacing=2.0)[0]
    np.testing.assert_array_equal(sparse, expected)
    noisy = demo._degrade(clean, Noise(25), 3)
    assert (noisy - clean).std() * 255 == pytest.approx(25, rel=0.03)


def test_what_is_trained_and_how_long() -> None:
    recipes = {
        name: (task.recipe.patch, task.recipe.hidden, task.steps, task.damage)
        for name, task in demo.TASKS.items()
    }
    assert recipes == {
        "noise": (10, (512, 512), 6000, Noise(25)), "text": (16, (640, 640), 4500, Text(18, 24))
    }  # fmt: skip


def test_training_runs_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = replace(demo.TASKS["noise"].recipe, patch=6, hidden=(8, 8), batch=4)
    task = replace(demo.TASKS["noise"], recipe=recipe, steps=45)
    images = [grey(photograph("camera"))[:40, :40, 0]]
    demo._train(task, images, 0, device.CPU)
    bar = capsys.readouterr().err.splitlines()[-1].rpartition("\r")[2]
    assert bar.startswith("against noise of sigma 25: 100%") and " 45/45 [" in bar
