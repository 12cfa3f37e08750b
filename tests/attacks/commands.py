"""Odd values for every option of every command: exit code 0, 1 or 2, one line, nothing changed."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from minidl.models import cli, plots
from minidl.models.context_encoder import Inpainter
from minidl.models.ssda import SSDA, Coding, Noise, Restorer, Text

JUNK = [
    "nan", "inf", "-inf", "-0", "0", "1e308", "-1", "1e-320", "9" * 26, "١٢", "²", "1_000", "0x10",
    " 5 ", "", "\u202e", "a\nb", "\x1b[31mred", "x" * 5000, "--", "-", "1,2,3,4", "0,0,0,0", "1e5",
    "0.5", "5", "true", "/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "~", "*", "%s",
    "{}", "good.png", "none", "photos", "empty.png", "words.png", "dir.png", "loop.png", "zero.png",
    "pipe.png", "missing", "missing/", "café.png", "\udcff", "a\0b", "noise.st", "text.st",
    "fill.st", "run", "9" * 5000, "1" * 300, "auto", "18-36", "36-18", "6-200", "-", "3-", "٣-٤",
]  # fmt: skip
INPUTS = [
    "good.png", "grey.png", "clear.png", "photos", "none", "words.png", "empty.png", "dir.png",
    "loop.png", "link.png", "missing.png", "photos/self", "/dev/null", "pipe.png", "a\0b",
    "\udcff.png", "x" * 300 + ".png", "", ".",
]  # fmt: skip
OUTPUTS = [
    "out/", "new", "o.png", "o.jpg", "o.tif", "o.webp", "o.bmp", "o.gif", "o", "none", "good.png",
    "dir.png", "loop.png", "pipe.png", "zero.png", "missing/o.png", "/dev/null", "/proc/x.png",
    "/dev/full", "", ".", "a\0b.png", "x" * 300 + ".png", "x\ny.png", "\x1b[2Jo.png", "\udcff.png",
    "o.PNG", ".png", "photos",
]  # fmt: skip
SAFE = {
    "denoise": "good.png -o o.png --weights noise.st",
    "remove-text": "good.png -o o.png --weights text.st",
    "fill": "good.png -o o.png --mask hole.png --weights fill.st",
    "train ssda": "--data photos --out new --steps 3 --hidden 8 --patch 6 --batch 4",
    "train context-encoder": "--data photos --out new --steps 1 --batch 1",
    "evaluate ssda": "--data photos --weights noise.st",
    "evaluate context-encoder": "--data photos --weights fill.st",
    "doctor": "",
}
REPAIRS = ("denoise", "remove-text", "fill")
PICTURE_BY_PICTURE = (*REPAIRS, "evaluate")  # these may report each picture, then all
SMALL_VALUES = {"steps": "3", "hidden": "8", "batch": "2", "minutes": "1e-9"}


@dataclass
class State:
    folder: Path
    options: dict[str, list[argparse.Action]]  # of each command


def prepare(folder: Path) -> State:
    """Make a folder of good and odd files, and return the arguments of every command."""
    for name in ("filters", "curves", "side_by_side"):
        setattr(plots, name, lambda *_, **__: None)
    (folder / "photos/sub").mkdir(parents=True)
    chance = np.random.default_rng(0)

    def save(name: str, *shape: int) -> None:
        Image.fromarray(chance.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)

    for name, channels in (("good", (3,)), ("grey", ()), ("clear", (4,))):
        save(f"{name}.png", 13, 17, *channels)
    for i in range(3):
        save(f"photos/p{i}.png", 40, 44, 3)
    save("photos/sub/x.jpg", 40, 44, 3)
    hole = np.zeros((13, 17), np.uint8)
    hole[3:6, 4:8] = 255
    Image.fromarray(hole).save(folder / "hole.png")
    (folder / "photos/bad.png").write_bytes(b"nothing")
    (folder / "words.png").write_text("x")
    (folder / "empty.png").touch()
    for name in ("none", "dir.png", "run"):
        (folder / name).mkdir()
    (folder / "run/config.json").write_text("{}")
    for name, target in (
        ("loop.png", "loop.png"), ("link.png", "good.png"), ("zero.png", "/dev/zero"),
        ("photos/self", "."),
    ):  # fmt: skip
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    rng = np.random.default_rng(0)
    for name, damage in (("noise", Noise(25)), ("text", Text())):
        Restorer(SSDA(36, (8, 8), rng=rng), 6, Coding(), damage).save(folder / f"{name}.st")
    Inpainter.new("compact", "region", overlap=0, rng=rng, width=0.1)[0].save(folder / "fill.st")
    return State(folder, dict(_options(cli.parser(), "")))


def _options(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, list[argparse.Action]]]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in below:
        for word, command in action.choices.items():
            yield from _options(command, f"{name} {word}".strip())
    if not below:
        yield name, [a for a in parser._actions if a.option_strings and a.dest != "help"]


def case(state: State, work: Path, random: random.Random) -> tuple[str, list[str]]:
    words = command(state, random)
    here = work / "here"
    shutil.copytree(
        state.folder, here, symlinks=True, ignore=_only(state.folder), dirs_exist_ok=True
    )
    os.mkfifo(here / "pipe.png")
    (work / "command.txt").write_text(ascii(words))
    before = contents(here)
    said, complaint = io.StringIO(), io.StringIO()
    os.chdir(here)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaint):
            code = cli.main(words)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    finally:
        os.chdir(state.folder)
    problems = []
    if code not in (0, 1, 2):
        problems.append(f"exit code {code}")
    lines = [line for line in complaint.getvalue().split("\n") if line.startswith("minidl")]
    most = len(lines) if words[0] in PICTURE_BY_PICTURE else 1
    if code == 2 and not 1 <= len(lines) <= most:
        problems.append(f"{len(lines)} complaints: {lines[:3]}")
    if "Traceback" in complaint.getvalue():
        problems.append("a traceback")
    shown = said.getvalue() + complaint.getvalue()
    if any(not c.isprintable() and c not in "\r\n" for c in shown):
        problems.append("control characters are shown")
    now = contents(here)
    gone = [n for n, what in before.items() if now.get(n) != what]
    if gone and "--force" not in words and not any(w.startswith("--fo") for w in words):
        problems.append(f"replaced without --force: {gone}")
    if left := [n for n in now if "/.minidl" in f"/{n}"]:
        problems.append(f"left: {left}")
    return f"exit {code}", [f"{problem}: {ascii(words)[:400]}" for problem in problems]


def command(state: State, random: random.Random) -> list[str]:
    """Return a command line with one or two odd values."""
    name = random.choice(list(SAFE))
    words = SAFE[name].split()
    for _ in range(random.choice([1, 1, 1, 2])):
        action = random.choice(state.options[name])
        option = random.choice(action.option_strings)
        if action.nargs == 0:
            words.append(option)
            continue
        value = random.choice(OUTPUTS if action.dest == "out" and random.random() < 0.7 else JUNK)
        if action.dest in SMALL_VALUES and value.strip().replace(".", "").isdigit():
            value = SMALL_VALUES[action.dest]  # more would be valid, but slow
        if option in words and random.random() < 0.8:
            words[words.index(option) + 1] = value
        elif option.startswith("--") and random.random() < 0.4:
            words.append(f"{option}={value}")
        else:
            words += [option, value]
    if name in REPAIRS and random.random() < 0.35:
        words[0:1] = [random.choice(INPUTS) for _ in range(random.choice([1, 1, 2, 3]))]
    return [*name.split(), *words]


def _only(folder: Path) -> Callable[[Any, list[str]], list[str]]:
    """Skip pipes, which copytree cannot copy, and other cases' folders."""

    def passed_over(where: Any, names: list[str]) -> list[str]:
        return [n for n in names if n == "pipe.png" or (Path(where) == folder and n.isdigit())]

    return passed_over


def contents(folder: Path) -> dict[str, str]:
    """Return {name: content} of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = "other"
        if path.is_symlink():
            what = f"link to {os.readlink(path)}"
        elif path.is_file():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = what
    return found
