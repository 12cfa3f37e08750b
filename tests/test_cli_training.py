"""`minidl train`: runs from start to end, stopped and resumed; and Ctrl-C everywhere."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minidl import checkpoint
from minidl.models import cli
from minidl.models.cli import train
from minidl.models.cli.arguments import complain
from minidl.models.images.samples import photograph
from minidl.models.signals import STOP_SIGNALS
from minidl.models.ssda import (
    RECIPES,
    SSDA,
    Coding,
    Noise,
    Recipe,
    Restorer,
    Text,
    Trainer,
    degradation,
)
from minidl.models.training.run_folder import Run

pytestmark = pytest.mark.usefixtures("ctrl_c")
ROOT = Path(__file__).resolve().parents[1]
SMALL = "--patch 6 --hidden 8 --batch 16 --device cpu"  # a very short training run


def minidl(line: str) -> int:
    return cli.main(shlex.split(line))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a few photographs in photos/."""
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(("camera", "coins", "coffee")):
        pixels = (255 * photograph(name)[100:160, 180:240]).astype(np.uint8)
        Image.fromarray(pixels.squeeze()).save(tmp_path / f"photos/{i}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ssda --out x", {"minutes": 30.0, "steps": None, "seed": 0}),
        ("ssda --out x --minutes 2 --seed 3", {"minutes": 2.0, "steps": None, "seed": 3}),
        ("context-encoder --data photos --out x", {"minutes": 60.0, "steps": None, "seed": 0}),
        ("context-encoder --data photos --out x --steps 7", {"minutes": 60.0, "steps": 7}),
    ],
)
def test_a_training_begins_with_its_options(
    line: str, expected: dict[str, Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []

    def start(*_: Any, **options: Any) -> None:
        begun.append(options)
        raise KeyboardInterrupt

    for model in ("ssda", "context_encoder"):
        monkeypatch.setattr(f"minidl.models.{model}.training.start", start)
    assert minidl(f"train {line}") == 130
    assert expected.items() <= begun[0].items()


def assert_same_model(first: str, second: str) -> None:
    a, b = (checkpoint.load(f"{run}/model.safetensors")[0]["model"] for run in (first, second))
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


def test_train_then_denoise(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert minidl(f"train ssda --data photos --sigma 40 --out runs/a --steps 40 {SMALL}") == 0
    out, err = capsys.readouterr()
    assert not err
    written = {"config.json", "log.csv", "checkpoint.safetensors", "model.safetensors"}
    assert {p.name for p in Path("runs/a").iterdir()} == written | {
        "curves.png", "filters.png", "samples.png",
    }  # fmt: skip
    command = out.splitlines()[-1].removeprefix("try: minidl ")
    assert minidl(command.replace("PICTURE", "photos/0.png").replace("OUT", "clean.png")) == 0
    assert Restorer.load("runs/a/model.safetensors").damage == Noise(40)
    config, kept = Path("runs/a/config.json"), Path("runs/a/checkpoint.safetensors")
    config.write_text(config.read_text().replace('"device": "cpu"', '"device": "gpu"'))
    groups, about = checkpoint.load(kept)
    checkpoint.save(kept, groups, {**about, "config": json.loads(config.read_text())})
    assert minidl("train ssda --resume runs/a --device cpu") == 0  # begun on another machine
    assert minidl("denoise photos/0.png -o b.png --weights runs/a/checkpoint.safetensors") == 0


def test_train_against_text(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(degradation, "SHEET_COUNT", 4)
    line = f"train ssda --data photos/0.png --text 18-24 --out a --minutes 0.001 --json {SMALL}"
    assert minidl(line) == 0
    answer = json.loads(capsys.readouterr().out)
    assert Restorer.load(answer["model"]).damage == Text(18, 24)
    assert minidl(f"remove-text photos/0.png -o c.png --weights {answer['model']}") == 0


def asked(line: str) -> Recipe:
    """Return the recipe that a command line asks for."""
    return train._recipe(cli.parser().parse_args(["train", "ssda", "--out", "x", *line.split()]))


def test_recipes_are_changed_as_asked() -> None:
    assert asked("") == RECIPES["working"] and asked("--text 18-24") == RECIPES["text"]
    assert asked("--sigma 100").coding.gain == 3.0
    assert asked("--patch 9 --hidden 50").hidden == (50, 50) and asked("--patch 9").patch == 9
    assert asked("--lr 0.002").learning_rates == (1e-3, 1e-3, 2e-3)
    lbfgs = asked("--optimizer lbfgs")
    assert (lbfgs.optimizer, lbfgs.batch, lbfgs.steps_per_batch) == ("lbfgs", 10_000, 20)
    assert asked("--optimizer lbfgs --batch 99").batch == 99
    adam = asked("--recipe paper --optimizer adam")
    assert (adam.optimizer, adam.batch, adam.steps_per_batch) == ("adam", 256, 1)
    assert asked("--recipe paper --optimizer lbfgs") == RECIPES["paper"]


def test_without_a_folder_the_photographs_of_the_package_are_trained_on() -> None:
    images = train._images("")
    assert len(images) == 10 and all(image.ndim == 2 for image in images)


def test_what_full_memory_advises(capsys: pytest.CaptureFixture[str]) -> None:
    smaller = "; a smaller batch needs less: --batch "
    for options, advice in (
        ({"batch": 48}, f"{smaller}24"), ({"batch": 2}, f"{smaller}1"), ({"batch": 1}, ""),
        ({"batch": None, "resume": "a"}, "; a new run with a smaller --batch needs less"), ({}, ""),
        ({"device": "gpu"}, "; --device cpu may have more"), ({"device": "cpu"}, ""),
    ):  # fmt: skip
        complain(argparse.Namespace(command="train", **options), MemoryError("no room"))
        assert capsys.readouterr().err == f"minidl train: no room{advice}\n"


@pytest.mark.parametrize("recipe", ["working", "paper", "naive"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_recipes(recipe: str, optimizer: str, here: Path) -> None:
    line = f"train ssda --data photos --out a --steps 6 --recipe {recipe} --optimizer {optimizer}"
    assert minidl(f"{line} {SMALL}") == 0
    config = Run.open("a").config["recipe"]
    assert (config["optimizer"], config["patch"], config["batch"]) == (optimizer, 6, 16)
    assert config["coding"]["centre"] == ("mean" if recipe == "working" else None)


# --- Ctrl-C --------------------------------------------------------------------------------------


def test_ctrl_c_while_pictures_are_repaired(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = SSDA(36, (8, 8), rng=np.random.default_rng(0))
    Restorer(network, 6, Coding(), Noise(25)).save("noise.safetensors")
    repair, count = Restorer.repair, 0

    def stopped(*args: Any, **options: Any) -> np.ndarray:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return repair(*args, **options)

    monkeypatch.setattr(Restorer, "repair", stopped)
    assert minidl("denoise photos -o out --sigma 25 --weights noise.safetensors") == 130
    assert capsys.readouterr().err.strip() == "minidl: stopped"
    assert [p.name for p in Path("out").iterdir()] == ["0.png"]
    Image.open("out/0.png").load()


def test_ctrl_c_before_there_is_anything_to_go_on_with(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_take_step", stop)
    assert minidl(f"train ssda --data photos --out a --steps 9 {SMALL}") == 130
    assert capsys.readouterr().err.strip() == "minidl: stopped"


def test_ctrl_c_while_training(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"train ssda --data photos --steps 30 {SMALL}"
    assert minidl(f"{line} --out whole") == 0
    take, count = Trainer._take_step, 0

    def interrupted(trainer: Trainer, stage: Any) -> None:
        nonlocal count
        count += 1
        if count == 11:
            signal.raise_signal(signal.SIGINT)
        take(trainer, stage)

    monkeypatch.setattr(Trainer, "_take_step", interrupted)
    assert minidl(f"{line} --out 'the other'") == 130
    said = capsys.readouterr().err.strip()
    assert said == "minidl: stopped; continue with: minidl train ssda --resume 'the other'"
    assert not Path("the other/model.safetensors").exists()
    assert minidl(said.partition("continue with: minidl ")[2]) == 0
    assert_same_model("whole", "the other")


def started(
    line: str, *, ignored: int = 0, awaited_file: str = "checkpoint.safetensors"
) -> subprocess.Popen[str]:
    """Start a training in a process, and return it after its first report."""

    def fresh() -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    code = (
        "import sys, minidl.models.plots as p; from minidl.models.cli import main\n"
        "p.filters = p.curves = p.side_by_side = lambda *_, **__: None  # they take a second\n"
        "sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *shlex.split(line)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=fresh,
    )
    awaited = Path(shlex.split(line)[-1], awaited_file)
    before = awaited.stat().st_mtime_ns if awaited.exists() else 0
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if awaited.exists() and awaited.stat().st_mtime_ns != before:
            break
        time.sleep(0.02)
    return process


LINE = f"train ssda --data photos --steps 1000 {SMALL} --json"


@pytest.mark.skipif(os.name == "nt", reason="no signals for another process")
def test_signals_save_and_stop(here: Path) -> None:
    """Send the signals one after another to one run, which ends as if it had not been stopped."""
    commands = [
        f"{LINE} --every 0.05 --out stopped",
        "train ssda --json --every 0.05 --resume stopped",
    ]
    steps = [0]
    for number, line in zip(STOP_SIGNALS[1:], commands, strict=True):
        with started(line) as process:
            process.send_signal(number)
            error = process.communicate(timeout=60)[1]
        assert process.returncode == 128 + number and "Traceback" not in error
        assert error.strip().endswith("continue with: minidl train ssda --resume stopped")
        assert not [p for p in Path("stopped").iterdir() if p.name.startswith(".")]
        steps.append(Run.open("stopped").rows[-1]["step"])
    assert steps == sorted(set(steps)) and steps[-1] < 1000
    assert minidl("train ssda --resume stopped --json") == 0
    assert minidl(f"{LINE} --out whole") == 0
    assert_same_model("whole", "stopped")


@pytest.mark.skipif(os.name == "nt", reason="no SIGHUP there")
def test_nohup_goes_on(here: Path) -> None:
    line, file = f"{LINE} --out run", "config.json"
    with started(line, ignored=signal.SIGHUP, awaited_file=file) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0 and Path("run/model.safetensors").exists()


@pytest.mark.skipif(os.name == "nt", reason="no signals for another process")
def test_a_second_training_in_a_folder_changes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with started(f"{LINE} --every 0.05 --out run".replace("1000", "100000")) as first:
        config = Path("run/config.json").read_bytes()
        for line in (f"{LINE} --seed 2 --out run", "train ssda --resume run --json"):
            assert minidl(line) == 2
            said = capsys.readouterr().err.splitlines()
            assert len(said) == 1 and "run: another training is at work here" in said[0]
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=60)
    assert Path("run/config.json").read_bytes() == config
    Path("run/config.json").write_bytes(config.replace(b'"seed": 0', b'"seed": 2'))
    assert minidl("train ssda --resume run --json") == 2
    assert "another configuration than that of config.json ('seed' is 0, there 2)" in (
        capsys.readouterr().err
    )
