"""A training run writes reports, stops, resumes, and refuses bad folders."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint
from minidl.device import CPU
from minidl.models.images.corruptions import add_text
from minidl.models.images.files import PictureError, write
from minidl.models.images.samples import grey, photograph
from minidl.models.ssda import (
    RECIPES,
    SSDA,
    Noise,
    Penalty,
    Recipe,
    Restorer,
    Text,
    Trainer,
    training,
)
from minidl.models.ssda.training import Validation
from minidl.models.training import loop
from minidl.models.training.run_folder import Run, TrainingError

pytestmark = pytest.mark.usefixtures("ctrl_c")
TINY = replace(
    RECIPES["working"],
    patch=6,
    hidden=(9, 7),
    batch=16,
    shares=(0.2, 0.2, 0.6),
    finetune=Penalty(decay=1e-4),
)
State = dict[str, np.ndarray]


def pictures(*names: str, side: int = 48) -> list[np.ndarray]:
    chosen = names or ("camera", "coins", "coffee")
    return [grey(photograph(n))[100 : 100 + side, 180 : 180 + side, 0] for n in chosen]


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# --- whole runs ----------------------------------------------------------------------------------


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.Training, "draw", lambda *_: None)


def start(out: Path, recipe: Recipe = TINY, **options: Any) -> Restorer:
    options = {"steps": 24, "every": 1e-9, "quiet": True, **options}
    return training.start(out, pictures(), damage=Noise(25), recipe=recipe, **options)


def resume(out: Path, **options: Any) -> Restorer:
    options = {"every": 1e-9, "quiet": True, **options}
    return training.resume(out, lambda data: pictures(), **options)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, Callable[[], Any]], None]]:
    """at_step(n, act): act in the middle of the n-th step from now on."""
    take = Trainer._draw_batch
    plans: dict[int, Callable[[], Any]] = {}
    count = 0

    def draw_batch(trainer: Trainer, stage: Any) -> Any:
        nonlocal count
        count += 1
        batch = take(trainer, stage)
        return plans[count]() or batch if count in plans else batch

    monkeypatch.setattr(Trainer, "_draw_batch", draw_batch)

    def plan(n: int, act: Callable[[], Any]) -> None:
        nonlocal count
        count = 0
        plans[n] = act

    yield plan


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def without_seconds(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.rows]


@pytest.mark.parametrize("n", [1, 5, 6, 12, 24])
def test_ctrl_c_then_resume_is_as_if_nothing_had_happened(
    n: int, tmp_path: Path, no_plots: None, at_step: Any
) -> None:
    expected = start(tmp_path / "whole").network.state()
    at_step(n, interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "stopped")
    found = resume(tmp_path / "stopped").network.state()
    assert_equal(found, expected)
    whole, stopped = Run.open(tmp_path / "whole"), Run.open(tmp_path / "stopped")
    assert without_seconds(stopped) == without_seconds(whole) and len(whole.rows) == 24
    assert_equal(Restorer.load(tmp_path / "stopped/model.safetensors").network.state(), expected)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_killed_run_goes_on_from_its_last_report(
    tmp_path: Path, no_plots: None, at_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run was killed between checkpoint and log, or after rows that follow the checkpoint."""
    expected = start(tmp_path / "whole").network.state()

    def die() -> None:
        raise SystemExit(9)

    at_step(13, die)
    with pytest.raises(SystemExit):
        start(tmp_path / "killed")
    log = tmp_path / "killed/log.csv"
    lines = log.read_text().splitlines(keepends=True)
    assert len(lines) == 13  # the names, and 12 rows
    log.write_text("".join([*lines, lines[-1].replace("12,", "13,", 1)]))
    assert_equal(resume(tmp_path / "killed").network.state(), expected)
    assert without_seconds(Run.open(tmp_path / "killed")) == without_seconds(
        Run.open(tmp_path / "whole")
    )


def test_resume_of_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    expected = start(tmp_path / "run", every=1e9).network.state()
    model = tmp_path / "run/model.safetensors"

    def contents() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in model.parent.iterdir() if p != model}

    before, about = contents(), checkpoint.about(model)
    assert {"curves.png", "filters.png", "samples.png", "log.csv"} < before.keys()
    assert_equal(resume(tmp_path / "run").network.state(), expected)
    assert contents() == before and checkpoint.about(model) == about


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good(
    tmp_path: Path, no_plots: None, at_step: Any
) -> None:
    poison = np.full((16, 36), np.nan, dtype=np.float32)
    at_step(4, lambda: (poison, poison))
    with pytest.raises(TrainingError, match="auto-encoder 1 is no longer a number, at step 4 of"):
        start(tmp_path / "run", every=1e-9)
    about = checkpoint.about(tmp_path / "run/checkpoint.safetensors")
    assert about["progress"]["step"] == 3
    model = checkpoint.load(tmp_path / "run/checkpoint.safetensors")[0]["model"]
    assert all(np.isfinite(array).all() for array in model.values())
    assert [row["step"] for row in Run.open(tmp_path / "run").rows] == [1, 2, 3]


def test_resume_refuses_other_pictures_and_other_runs(tmp_path: Path, no_plots: None) -> None:
    start(tmp_path / "run", data="photos")
    with pytest.raises(TrainingError, match="the pictures of 'photos' have changed"):
        training.resume(tmp_path / "run", lambda data: pictures("camera"))
    state = checkpoint.load(tmp_path / "run/checkpoint.safetensors")[0]
    checkpoint.save(tmp_path / "run/checkpoint.safetensors", state, {})
    with pytest.raises(checkpoint.CheckpointError, match="safetensors: not a checkpoint of this"):
        resume(tmp_path / "run")
    (tmp_path / "run/config.json").write_text('{"model": "other"}')
    with pytest.raises(TrainingError, match=r"config\.json is not that of such a run"):
        resume(tmp_path / "run")


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("minidl.models.plots.save", "minidl.checkpoint.save_file"):
        with monkeypatch.context() as patch:
            patch.setattr(name, full)
            out = tmp_path / name
            with pytest.raises(TrainingError) as caught:
                start(out)
            assert str(caught.value) == f"{out}: cannot be written (No space left on device)"
            assert not [p for p in out.iterdir() if p.name.startswith(".")]


# --- data ----------------------------------------------------------------------------------------


def test_split_holds_out_about_one_in_twenty() -> None:
    for count, expected in ((1, 1), (2, 1), (20, 1), (40, 2), (400, 20), (4000, 20)):
        images = [np.full((1, 1), i) for i in range(count)]
        learning, held_out = training.split(images)
        assert len(held_out) == expected
        assert len(learning) == (count - expected if count > 1 else 1)
        shared = {int(i[0, 0]) for i in learning} & {int(i[0, 0]) for i in held_out}
        assert not shared or count == 1


def test_pictures_smaller_than_a_patch_are_left_out() -> None:
    large = np.zeros((12, 12))
    assert len(training.large_enough([large, np.zeros((11, 99)), large], 12)) == 2
    with pytest.raises(TrainingError, match="photos: none of 1 pictures is at least 13 x 13"):
        training.large_enough([large], 13, "photos")


def test_a_folder_too_large_for_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.png", np.zeros((20, 20, 1), np.float32))
    monkeypatch.setattr(training, "MAX_PIXELS", 1000)
    with pytest.raises(PictureError, match="million pixels together; expected fewer"):
        training.read_folder(tmp_path)


def test_read_folder_passes_over_what_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(PictureError, match="none of its pictures can be read"):
        training.read_folder(tmp_path)
    write(tmp_path / "a.png", photograph("coffee")[:20, :30])
    write(tmp_path / "c.png", photograph("coffee")[:10, :30])
    assert [image.shape for image in training.read_folder(tmp_path)] == [(20, 30), (10, 30)]
    assert capsys.readouterr().err.count("b.png: is not a picture") == 2


def test_steps_that_fit_into_some_minutes() -> None:
    made = []

    def make(count: int) -> Trainer:
        made.append(count)
        return training.new_trainer(pictures(), Noise(25), TINY, count, 0, CPU)

    few, many = training.steps_in(0.001, make), training.steps_in(1, make)
    assert 3 <= few < many and made == [60, 60]


# --- before the first step ------------------------------------------------------------------------


def test_some_pictures_are_held_out() -> None:
    """One in twenty is held out, at most twenty, evenly spaced; a single picture is both."""
    for count, every, held in ((1, 20, 1), (20, 20, 1), (21, 20, 2), (400, 20, 20), (450, 23, 20)):
        images = [np.full((1, 1), i, np.float32) for i in range(count)]
        learning, validation = training.split(images)
        expected = [float(i) for i in range(count - 1, -1, -every)][:20]
        assert [float(image[0, 0]) for image in validation] == expected
        assert len(validation) == held
        left = sorted({float(i) for i in range(count)} - {*expected})
        assert [float(image[0, 0]) for image in learning] == (left or [0.0])


def test_the_fingerprint_is_of_every_picture() -> None:
    first, second = pictures("camera", "coins")
    assert training.fingerprint([first, second]).startswith("2 pictures, ")
    found = {
        training.fingerprint(images)
        for images in ([first, second], [second, first], [second, second], [first, first + 1e-6])
    }
    assert len(found) == 4
    assert training.fingerprint([first[:, ::2]]) == training.fingerprint([first[:, ::2].copy()])


def test_a_fingerprint_is_the_same_in_each_version() -> None:
    """A run resumes only with pictures of its first fingerprint."""
    images = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((1, 2), np.float32)]
    assert training.fingerprint(images) == "2 pictures, ab973a04"


def test_the_bar_tells_stages_and_reports(
    tmp_path: Path, no_plots: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Bar(loop.tqdm):  # type: ignore[misc]
        def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
            said.append(s)

    monkeypatch.setattr(loop, "tqdm", Bar)
    start(tmp_path / "run", every=1e9, quiet=False)
    assert said[:-1] == ["auto-encoder 1", "auto-encoder 2", "fine-tuning"]
    row = Run.open(tmp_path / "run").rows[-1]
    assert said[-1] == (f"fine-tuning, loss {row['loss']:.4g}, validation {row['psnr']:.2f} dB")


def test_a_score_is_the_mean_over_the_pictures() -> None:
    clean = [np.full((20, 20, 1), level, np.float32) for level in (0.2, 0.4)]
    damaged = [clean[0] + 0.1, clean[1] + 0.01]
    same: Any = SimpleNamespace(repair=lambda pixels, stride: pixels)
    assert Validation(clean, damaged).score(same) == pytest.approx((20 + 40) / 2, abs=1e-3)


def test_text_is_written_over_a_validation_picture() -> None:
    clean = np.full((60, 80, 1), 0.5, np.float32)
    found = training.degrade(clean, Text(20, 30), np.random.default_rng(4))
    expected = add_text(clean, np.random.default_rng(4), sizes=(20, 30))[0]
    np.testing.assert_array_equal(found, expected)
    validation = Validation.of([clean[..., 0]] * 2, Text(20, 30))
    for i, damaged in enumerate(validation.damaged):
        expected = add_text(clean, np.random.default_rng(i), sizes=(20, 30))[0]
        np.testing.assert_array_equal(damaged, expected)


def test_the_middle_is_validated() -> None:
    image = np.add.outer(1000 * np.arange(300), np.arange(200)).astype(np.float32)
    middle = training._centre(image)
    assert middle.shape == (192, 192) and middle[0, 0] == 1000 * 54 + 4
    assert training._centre(image[:100, :90]).shape == (100, 90)


def test_as_many_steps_as_fit_into_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of the stages take 1, 2 and 4 seconds; the stages have 1/5, 1/5 and 3/5 of them."""
    now = 0.0

    class Trial(Trainer):
        def _take_step(self, stage: Any) -> None:
            nonlocal now
            now += 2.0**self.stage
            self.step += 1

    monkeypatch.setattr(training.time, "perf_counter", lambda: now)
    monkeypatch.setattr(training, "TRIAL_SECONDS", 3.0)

    def make(count: int) -> Trainer:
        rng = np.random.default_rng(0)
        restorer = TINY.untrained(Noise(25), rng)
        draw = Noise(25).draw_from(pictures(), TINY.patch, rng, CPU)
        return Trial(restorer, TINY, draw, steps=count, rng=rng, device=CPU)

    assert training.steps_in(10.0, make) == int(0.95 * 600 / (0.2 + 0.4 + 0.6 * 4))
    assert training.steps_in(1e-3, make) == 3  # one of each stage
    now = 0.0
    assert training.steps_in(10.0, make) > 0 and now < 60 * (1 + 2 + 4) / 3  # not all trial steps


def test_seconds_go_on_where_a_run_stopped(tmp_path: Path, no_plots: None, at_step: Any) -> None:
    at_step(12, interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run")
    log = tmp_path / "run/log.csv"
    names, *rows = log.read_text().splitlines()
    cells = rows[-1].split(",")
    cells[1] = "1000.5"
    log.write_text("\n".join([names, *rows[:-1], ",".join(cells)]) + "\n")
    resume(tmp_path / "run")
    assert all(row["seconds"] >= 1000.5 for row in Run.open(tmp_path / "run").rows[len(rows) - 1 :])


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_log_tells_the_rate(optimizer: str, tmp_path: Path, no_plots: None) -> None:
    """L-BFGS has no learning rate."""
    start(tmp_path / "run", replace(TINY, optimizer=optimizer))
    rates = Run.open(tmp_path / "run").column("rate")
    assert ((rates > 0) & (rates <= max(TINY.learning_rates))).all() == (optimizer == "adam")
    assert (rates == 0).all() == (optimizer == "lbfgs")


def test_a_lost_last_row_is_told_again(tmp_path: Path, no_plots: None) -> None:
    """A run was killed between the last checkpoint and its row, with no steps left."""
    start(tmp_path / "run")
    log = tmp_path / "run/log.csv"
    first = Run.open(tmp_path / "run").rows[-1]
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    resume(tmp_path / "run")
    last = Run.open(tmp_path / "run").rows[-1]
    assert (last["step"], last["stage"]) == (24, "fine-tuning")
    assert (last["rate"], last["psnr"]) == (first["rate"], first["psnr"])


def test_a_trainer_takes_its_network_along(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Any] = []
    monkeypatch.setattr(SSDA, "to", lambda _, device: moved.append(device))
    training.new_trainer(pictures(), Noise(25), TINY, 6, 0, CPU)
    assert moved == [CPU]


def test_too_many_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(2):
        write(tmp_path / f"{i}.png", np.zeros((30, 40), np.float32))
    monkeypatch.setattr(training, "MAX_PIXELS", 2400)
    assert len(training.read_folder(tmp_path)) == 2
    monkeypatch.setattr(training, "MAX_PIXELS", 2399)
    with pytest.raises(PictureError, match="have more than 0 million pixels together; expected"):
        training.read_folder(tmp_path)
