"""Kill commands at random moments by each signal: trainings resume, repaired files are whole.

A training that was killed and resumed ends like one that was not, bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from minidl import checkpoint
from minidl.files import UNFINISHED

SECONDS = 400.0  # for a whole run of several kills
ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
# The real command line without the plots of each report, which would take most of the time.
CODE = (
    "import signal, sys, minidl.models.cli as cli\n"
    "def run(*arguments, run=cli._exit_code):\n"
    "    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})\n"
    "    import minidl.models.plots as p\n"
    "    p.filters = p.curves = p.side_by_side = lambda *a, **k: None\n"
    "    return run(*arguments)\n"
    "cli._exit_code = run\n"
    "sys.exit(cli.main())"
)
TRAININGS = {
    "ssda": "train ssda --data photos --steps 3000 --hidden 16 --patch 6 --batch 16 --every 0.1",
    "context-encoder": "train context-encoder --data photos --steps 6 --batch 1 --every 0.01",
}
KILLS = 3  # of one run
REPAIR = "denoise photos -o out --sigma 25 --stride 5"


@dataclass
class State:
    folder: Path
    models: dict[str, tuple[Any, int]]  # (arrays, steps) of the runs that were not killed
    seconds: dict[str, float]  # the time that these runs took


def prepare(folder: Path) -> State:
    """Make photographs, and each run from start to end."""
    chance = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for i in range(5):
        smooth = ndimage.gaussian_filter(chance.standard_normal((70, 80, 3)), (3, 3, 0))
        pixels = 255 * (smooth - smooth.min()) / np.ptp(smooth)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"photos/{i}.png")
    state = State(folder, {}, {})
    for model, line in TRAININGS.items():
        began = time.monotonic()
        with started(f"{line} --out whole-{model}", folder, folder / "log.txt") as process:
            assert process.wait() == 0, (folder / "log.txt").read_text()
        state.seconds[model] = time.monotonic() - began
        state.models[model] = _model(folder / f"whole-{model}")
    return state


def case(state: State, work: Path, random: random.Random) -> tuple[str, list[str]]:
    (work / "photos").symlink_to(state.folder / "photos")
    what = random.choice(["ssda", "ssda", "context-encoder", "repair"])
    if what == "repair":
        return what, _repair(work, random)
    return what, _training(state, what, work, random)


def _training(state: State, model: str, work: Path, random: random.Random) -> list[str]:
    """Kill a run a few times, then let it end."""
    run, log, problems = work / "run", work / "log.txt", list[str]()
    for kill in range(KILLS + 1):
        go_on = (run / "checkpoint.safetensors").exists()
        every = TRAININGS[model].rpartition(" ")[2]
        line = f"train {model} --resume run --every {every}" if go_on else TRAININGS[model]
        with started(line if go_on else f"{line} --out run", work, log) as process:
            if kill < KILLS:
                patience = random.random() * 1.2 * state.seconds[model]
                problems += _killed(process, random.choice(SIGNALS), patience, log)
            elif process.wait(SECONDS) != 0:
                problems.append(f"going on failed: {log.read_text()[-300:]}")
        problems += _half_files(run)
    if not problems:
        if _model(run) != state.models[model]:
            problems.append("the model is not that of a run which nobody killed")
        steps = [int(row.split(",")[0]) for row in (run / "log.csv").read_text().splitlines()[1:]]
        if steps != sorted(set(steps)):
            problems.append(f"steps in the log: {steps}")
        if left := [p.name for p in run.iterdir() if p.name.startswith(UNFINISHED)]:
            problems.append(f"temporary files were left: {left}")
    return problems


def _repair(work: Path, random: random.Random) -> list[str]:
    """Kill the repair of a folder, and begin it again."""
    number, log = random.choice(SIGNALS), work / "log.txt"
    with started(REPAIR, work, log) as process:
        deadline = time.monotonic() + 30
        while not (work / "out").is_dir() and process.poll() is None:
            time.sleep(0.01)
            if time.monotonic() > deadline:
                break
        problems = _killed(process, number, random.random() * random.choice([0.05, 1.0]), log)
    problems += _half_files(work / "out")
    with started(f"{REPAIR} --force", work, log) as process:
        if process.wait(SECONDS) != 0:
            problems.append(f"repairing again failed: {log.read_text()[-300:]}")
    names = sorted(path.name for path in (work / "out").iterdir())
    if names != [f"{i}.png" for i in range(5)]:
        problems.append(f"repaired again, there are {names}")
    return problems


def started(line: str, work: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own, its words in `log`.

    SIGINT waits until the command runs: before, Python's own start would print a traceback.
    """

    def fresh() -> None:
        for number in SIGNALS[:3]:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    with log.open("w") as words:
        return subprocess.Popen(
            [sys.executable, "-c", CODE, *line.split()],
            cwd=work, stdout=words, stderr=words, start_new_session=True, preexec_fn=fresh,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip


def _killed(
    process: subprocess.Popen[bytes], number: signal.Signals, patience: float, log: Path
) -> list[str]:
    """Send the signal after some seconds, and wait for the end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    if process.poll() is None:
        process.send_signal(number)
    try:
        code = process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return [f"{number.name}: no end within 20 seconds"]
    if "Traceback" in (said := log.read_text()):
        return [f"{number.name}: {said[-400:]}"]
    if code not in (0, 128 + number, -number):
        return [f"{number.name}: exit code {code}, {said[-300:]}"]
    return []


def _half_files(folder: Path) -> list[str]:
    """Return the visible files of a folder that are not whole."""
    problems = []
    for path in folder.glob("*") if folder.is_dir() else []:
        try:
            if path.name.startswith(UNFINISHED):
                continue
            if path.suffix == ".png":
                Image.open(path).load()
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                checkpoint.load(path)
            elif not path.read_text().endswith("\n"):
                raise ValueError("its last line has no end")
        except Exception as error:
            problems.append(f"{path.name} is not whole: {error!r}")
    return problems


def _model(run: Path) -> tuple[Any, int]:
    """Return the arrays and the steps of a finished run."""
    groups, about = checkpoint.load(run / "model.safetensors")
    arrays = {g: {n: a.tobytes() for n, a in named.items()} for g, named in groups.items()}
    return arrays, about["config"]["steps"]
