"""Training an SSDA: it learns, it resumes exactly, and it keeps good weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint, optim
from minidl.checkpoint import CheckpointError
from minidl.device import CPU
from minidl.models.images.samples import grey, photograph
from minidl.models.images.scores import psnr
from minidl.models.ssda import RECIPES, Noise, Penalty, Recipe, Text, Trainer, degradation
from minidl.models.ssda.training import Validation
from minidl.models.training.run_folder import TrainingError

TINY = replace(
    RECIPES["working"],
    patch=6,
    hidden=(9, 7),
    batch=16,
    shares=(0.2, 0.2, 0.6),
    finetune=Penalty(decay=1e-4),
)
LBFGS = replace(TINY, optimizer="lbfgs", batch=40, steps_per_batch=0)
RECIPES_TO_RESUME = {
    "adam": TINY,
    "adam on batches kept for a while": replace(TINY, steps_per_batch=7),
    "lbfgs": LBFGS,
    "lbfgs, batches renewed": replace(LBFGS, steps_per_batch=20),
    "lbfgs, batches renewed often": replace(LBFGS, steps_per_batch=3),
}
State = dict[str, np.ndarray]


def pictures(*names: str, side: int = 48) -> list[np.ndarray]:
    chosen = names or ("camera", "coins", "coffee")
    return [grey(photograph(n))[100 : 100 + side, 180 : 180 + side, 0] for n in chosen]


def trainer_of(recipe: Recipe = TINY, *, steps: int = 40, seed: int = 0) -> Trainer:
    rng = np.random.default_rng(seed)
    restorer = recipe.untrained(Noise(25), rng)
    draw = Noise(25).draw_from(pictures(), recipe.patch, rng, CPU)
    return Trainer(restorer, recipe, draw, steps=steps, rng=rng, device=CPU)


def finished(trainer: Trainer) -> State:
    for _ in trainer.run():
        pass
    return trainer.network.state()


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# --- stages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3, 7, 40, 100])
def test_stages_share_the_steps(steps: int) -> None:
    trainer = trainer_of(steps=steps)
    names = [stage.name for stage in trainer.run()]
    assert len(names) == trainer.total == trainer.done == max(3, steps)
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    assert list(counts) == ["auto-encoder 1", "auto-encoder 2", "fine-tuning"]
    if steps >= 40:
        assert list(counts.values()) == [0.2 * steps, 0.2 * steps, 0.6 * steps]


def test_a_stage_trains_its_own_parameters_only() -> None:
    trainer = trainer_of()
    before = {k: v.copy() for k, v in trainer.network.state().items()}
    for stage in trainer.run():
        if stage.name == "fine-tuning":
            break
        first = stage.name == "auto-encoder 1"
        moved = {
            name.split(".")[1]
            for name, array in trainer.network.state().items()
            if (array != before[name]).any()
        }
        assert moved == ({"0"} if first else {"0", "1"})


def test_the_second_auto_encoder_sees_h_of_x_and_of_y_without_new_noise() -> None:
    trainer = trainer_of()
    clean = np.random.default_rng(3).random((5, 36), dtype=np.float32)
    damaged = clean + np.float32(0.1) * np.sin(np.arange(36, dtype=np.float32))
    trainer.draw = lambda n, rng: (damaged, clean)
    coding = trainer.restorer.coding
    centres = coding.centres(damaged)
    state = trainer.rng.bit_generator.state
    for k, stage in enumerate(trainer.stages):
        x, y = trainer._draw_batch(stage)
        if k != 1:
            np.testing.assert_array_equal(x, coding.input(damaged, centres))
            np.testing.assert_array_equal(y, coding.target(damaged, clean, centres))
        else:
            h = trainer.network.autoencoders[0].encode
            np.testing.assert_array_equal(x, h(coding.input(damaged, centres)).data)
            np.testing.assert_array_equal(y, h(coding.input(clean, centres)).data)
    assert trainer.rng.bit_generator.state == state


# --- learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "gain"), [("noise", 2), ("text", 0.5), ("lbfgs", 1.5)])
def test_it_learns(kind: str, gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(degradation, "SHEET_COUNT", 6)
    what = Text(18, 24) if kind == "text" else Noise(25)
    recipe = replace(
        RECIPES["text"] if kind == "text" else TINY, patch=8, hidden=(96, 64), batch=128
    )
    steps = 600
    if kind == "lbfgs":
        recipe, steps = replace(recipe, optimizer="lbfgs", batch=2000, steps_per_batch=20), 60
    rng = np.random.default_rng(0)
    restorer = recipe.untrained(what, rng)
    validation = Validation.of(pictures("astronaut", "rocket", side=96), what)
    before = validation.score(restorer)
    draw = what.draw_from(pictures("camera", "coffee", "chelsea", side=200), 8, rng, CPU)
    finished(Trainer(restorer, recipe, draw, steps=steps, rng=rng, device=CPU))
    after = validation.score(restorer)
    damaged = [psnr(c, d) for c, d in zip(validation.clean, validation.damaged, strict=True)]
    assert after > max(before, float(np.mean(damaged))) + gain


def test_the_same_seed_gives_the_same_weights() -> None:
    first = finished(trainer_of(seed=1))
    assert_equal(finished(trainer_of(seed=1)), first)
    assert any((finished(trainer_of(seed=2))[k] != v).any() for k, v in first.items())


# --- exact resume --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES_TO_RESUME)
def test_resume_is_exact_wherever_it_stops(name: str, tmp_path: Path) -> None:
    """Make a new trainer from the file after each single step."""
    recipe, path = RECIPES_TO_RESUME[name], tmp_path / "a.safetensors"
    steps = 70 if recipe.steps_per_batch == 20 else 30
    expected = finished(trainer_of(recipe, steps=steps))
    trainer, stages = trainer_of(recipe, steps=steps), set()
    while trainer.done < trainer.total:
        stages.add(next(trainer.run()).name)
        checkpoint.save(path, *trainer.state())
        trainer = trainer_of(recipe, steps=steps)
        trainer.load_state(*checkpoint.load(path))
    assert len(stages) == 3
    assert_equal(trainer.network.state(), expected)


def test_resume_before_the_first_step(tmp_path: Path) -> None:
    for recipe in (TINY, LBFGS):
        checkpoint.save(tmp_path / "a.safetensors", *trainer_of(recipe).state())
        trainer = trainer_of(recipe, seed=5)
        trainer.load_state(*checkpoint.load(tmp_path / "a.safetensors"))
        assert_equal(finished(trainer), finished(trainer_of(recipe)))


@pytest.mark.parametrize(
    "change",
    [
        lambda groups, about: about.pop("progress"),
        lambda groups, about: about["progress"].pop("rng"),
        lambda groups, about: about["progress"].update(stage=7),
        lambda groups, about: about["progress"].update(rng="nonsense"),
        lambda groups, about: groups.pop("model"),
        lambda groups, about: groups.pop("optimizer"),
        lambda groups, about: groups["model"].popitem(),
        lambda groups, about: groups["optimizer"].popitem(),
    ],
)
def test_resume_refuses_another_run(change: Callable[[Any, Any], Any]) -> None:
    trainer = trainer_of()
    next(trainer.run())
    groups, about = trainer.state()
    change(groups, about)
    with pytest.raises(CheckpointError, match="not a checkpoint of this run"):
        trainer_of().load_state(groups, about)


# --- what is no number


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_rate_that_is_far_too_high_stops_the_run() -> None:
    trainer = trainer_of(replace(TINY, learning_rates=(1e30, 1e30, 1e30)), steps=999)
    with pytest.raises(TrainingError, match="no longer a number"):
        finished(trainer)
    assert trainer.done <= 100  # the first look at the loss


def test_parameters_that_are_no_numbers_are_never_kept() -> None:
    trainer = trainer_of()
    trainer.network.parameters()[3].data[0] = np.inf
    with pytest.raises(TrainingError, match="a parameter of auto-encoder 1 is no longer a number"):
        trainer.state()


# --- what a step depends on -----------------------------------------------------------------------


def test_lbfgs_knows_nothing_of_other_batches() -> None:
    """Pairs of one batch say nothing of the loss on the next; on one batch they are gathered."""
    trainer = trainer_of(replace(LBFGS, steps_per_batch=3), steps=30)
    most = 0
    for _ in trainer.run():
        assert len(trainer.optimizer.pairs) <= (trainer.step - 1) % 3 + 1  # type: ignore[union-attr]
        most = max(most, len(trainer.optimizer.pairs))  # type: ignore[union-attr]
    assert most == 3


@pytest.mark.parametrize(("steps", "warmup"), [(60, 6), (1000, 100), (5000, 200)])
def test_the_rate_warms_up_and_falls(steps: int, warmup: int) -> None:
    trainer = trainer_of(replace(TINY, shares=(0.0, 0.0, 1.0)), steps=steps)
    trainer._begin(2)
    stage = replace(trainer.stages[2], steps=steps)
    for step in (0, 1, warmup - 1, warmup, steps // 2, steps - 1):
        trainer.step = step
        trainer._take_step(stage)
        assert isinstance(trainer.optimizer, optim.Adam)
        if step < warmup:
            expected = stage.rate * (step + 1) / warmup
        else:
            expected = stage.rate * (1 + np.cos(np.pi * (step - warmup) / (steps - warmup))) / 2
        assert trainer.optimizer.lr == pytest.approx(expected)


def test_the_mean_loss_is_of_the_steps_of_one_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the losses of the steps are 1, 2, 3 ..., and the stages have 10, 5 and 5 of them."""
    monkeypatch.setattr("minidl.models.ssda.trainer.SYNC_EVERY", 3)
    begin, losses = Trainer._begin, itertools.count(1)

    def begun(trainer: Trainer, stage: int) -> None:
        begin(trainer, stage)
        zeros = [np.zeros_like(p.data) for p in trainer.stages[stage].parameters]
        trainer._learn = lambda *_: (np.float32(next(losses)), zeros)

    monkeypatch.setattr(Trainer, "_begin", begun)
    trainer = trainer_of(replace(TINY, shares=(0.5, 0.25, 0.25)), steps=20)
    assert np.isnan(trainer.mean_loss())
    means = [trainer.mean_loss() for _ in trainer.run() if trainer.done in (6, 8, 12)]
    assert means == [3.5, 7.5, 11.5]
    assert isinstance(trainer.optimizer, optim.Adam)
    assert (trainer.optimizer.beta1, trainer.optimizer.beta2) == (0.9, 0.99)


LIES: list[Callable[[dict[str, State], dict[str, Any]], Any]] = [
    lambda groups, about: about.clear(),
    lambda groups, about: about.update(progress=None),
    *(
        lambda groups, about, name=name, value=value: about["progress"].update({name: value})
        for name, value in (
            ("stage", 3), ("stage", -1), ("stage", 1.0), ("step", -1), ("step", 10**6),
            ("steps", 41), ("rng", 3), ("rng", "[" * 10**5), ("rng", "{}"), ("more", 1),
            ("step", 4),
        )
    ),
    lambda groups, about: groups.pop("model"),
    lambda groups, about: groups.pop("optimizer"),
    lambda groups, about: groups.pop("batch"),
    lambda groups, about: groups["batch"].pop("x"),
    lambda groups, about: groups["batch"].update(x=groups["batch"]["x"][:-1]),
    lambda groups, about: groups["batch"].update(y=groups["batch"]["y"][:, :-1]),
    lambda groups, about: groups["batch"].update(y=groups["batch"]["y"] * np.nan),
    lambda groups, about: groups["optimizer"].update(steps=np.array(99)),
    lambda groups, about: groups["optimizer"].update(steps=np.array(np.inf)),
    lambda groups, about: groups["optimizer"].update(steps=np.array(-1)),
    lambda groups, about: groups["model"].update(
        {name: array * np.nan for name, array in groups["model"].items()}
    ),
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=range(len(LIES)))
def test_a_checkpoint_that_lies_is_refused(lie: Any) -> None:
    recipe = replace(TINY, steps_per_batch=7)
    trainer = trainer_of(recipe)
    for _ in trainer.run():
        if trainer.done == 11:
            break
    groups, about = trainer.state()
    assert "batch" in groups
    groups = {name: dict(arrays) for name, arrays in groups.items()}
    trainer_of(recipe).load_state(groups, about)
    lie(groups, about)
    with pytest.raises(CheckpointError, match=r"^not a checkpoint of this run: ") as caught:
        trainer_of(recipe).load_state(groups, about)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
