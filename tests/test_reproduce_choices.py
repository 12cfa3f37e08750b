"""Choices that the paper leaves open: each trains, and is compared with its own base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers.data import MissingError, photographs
from benchmarks.papers.report.cache import ResultCache
from benchmarks.papers.report.page import Section
from benchmarks.papers.ssda import ablation, noise_levels, one_change_at_a_time
from benchmarks.papers.ssda.plan import Plan
from minidl.models.images.files import write
from minidl.models.images.samples import grey, photograph
from minidl.models.ssda import Noise, Trainer, training


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "train").mkdir()
    for name in ("camera", "coins", "brick"):
        write(tmp_path / "train" / f"{name}.png", grey(photograph(name))[:40, :40])
    return Plan(tmp_path, train=tmp_path / "train")


def test_choices_have_names_of_their_own() -> None:
    keys = [choice.key for choice in one_change_at_a_time.CHOICES]
    assert len(set(keys)) == len(keys) and "training: twice as long" in keys
    base = one_change_at_a_time.CHOICES[0]
    for choice in one_change_at_a_time.CHOICES[1:]:  # one change at a time
        changed = choice.settings() | {"seed": base.seed}
        assert changed != base.settings() or choice.seed


def test_a_difference_is_to_the_base_of_its_level() -> None:
    scores = {choice.key: float(i) for i, choice in enumerate(one_change_at_a_time.CHOICES)}
    gains = one_change_at_a_time.differences(scores)
    assert gains["patch: 8 x 8"] == 7 and gains["patch, σ = 100: 8 x 8"] == 1
    assert len(gains) == len(scores) - 2


def test_every_choice_is_trained_and_told(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"batch": 8, "hidden": 6}

    def shorter(choice: one_change_at_a_time.Choice) -> one_change_at_a_time.Choice:
        hidden = tuple(small["hidden"] for _ in choice.recipe.hidden)
        return replace(
            choice, steps=5, recipe=replace(choice.recipe, batch=small["batch"], hidden=hidden)
        )

    monkeypatch.setattr(
        one_change_at_a_time, "CHOICES", tuple(map(shorter, one_change_at_a_time.CHOICES))
    )
    monkeypatch.setattr(one_change_at_a_time, "STRIDES", (6, 12, 99))
    cache = ResultCache(tmp_path / "out", quiet=True)
    blocks = one_change_at_a_time.costs(plan, cache)
    one, merged = Section("", blocks).tables
    assert [row.cells[0] for row in one.rows] == [
        choice.name for choice in one_change_at_a_time.CHOICES
    ]
    assert merged.columns == ["window", "stride 6", "stride 12"]
    assert all(10 < float(cell) < 40 for row in merged.rows for cell in row.cells)
    assert (cache.pictures / "choices.png").is_file()

    def never(_: Trainer) -> None:
        raise AssertionError("was finished already")

    monkeypatch.setattr(Trainer, "run", never)
    assert one_change_at_a_time.costs(plan, cache) == blocks


def test_choices_need_photographs_and_time(plan: Plan, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "out", quiet=True)
    with pytest.raises(MissingError, match="--train"):
        one_change_at_a_time.costs(replace(plan, train=None), cache)
    with pytest.raises(MissingError, match="quick"):
        one_change_at_a_time.costs(replace(plan, quick=True), cache)


def test_new_trainers_of_one_seed_are_equal() -> None:
    image = grey(photograph("camera"))[:40, :40, 0]
    recipe = replace(one_change_at_a_time.BASE, patch=6, hidden=(5, 4), batch=8)
    ends = []
    for _ in range(2):
        trainer = training.new_trainer([image], Noise(25), recipe, 6, 3, Plan(Path()).device)
        list(trainer.run())
        ends.append(trainer.restorer.network.parameters()[0].data)
    np.testing.assert_array_equal(*ends)


def test_a_curve_has_its_points_and_a_bar_that_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "steps_in", lambda *_: 20)
    monkeypatch.setattr(ablation, "CURVE_POINTS", 4)
    image = grey(photograph("camera"))[:40, :40]
    recipe = replace(one_change_at_a_time.BASE, patch=6, hidden=(5, 4), batch=8)
    points = ablation.curve(recipe, [image[..., 0]], [image[:24, :24]], minutes=1.0, name="tiny")
    times, scores = zip(*points, strict=True)
    assert len(points) == 4 and list(times) == sorted(times) and times[0] > 0
    assert all(5 < score < 40 for score in scores)
    assert "tiny: 100%" in (said := capsys.readouterr().err) and "20/20" in said


@pytest.mark.parametrize("condition", noise_levels.UNKNOWN, ids=lambda c: c.name)
def test_unknown_noise_has_its_level_in_mid_grey(condition: noise_levels.Unknown) -> None:
    (picture, *_) = photographs(96, colour=True)
    flat = replace(picture, pixels=np.full_like(picture.pixels, 0.5))
    noisy = condition.over(flat, 0)
    assert noisy.shape == (96, 96, 3) and noisy.min() >= 0 and noisy.max() <= 1
    assert 255 * noisy.std() == pytest.approx(condition.sigma, rel=0.06)
    assert (condition.over(flat, 0) == noisy).all()


def test_photographs_are_cut_from_the_middle() -> None:
    pictures = photographs(64, colour=False)
    assert {p.pixels.shape for p in pictures} == {(64, 64, 1)}
    assert {p.pixels.shape for p in photographs(64, colour=True)} == {(64, 64, 3)}
    assert [p.name for p in pictures][:2] == ["astronaut.png", "chelsea.png"]
