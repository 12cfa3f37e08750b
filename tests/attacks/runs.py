"""Mutated run folders: they resume, or one line refuses them and nothing changes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from minidl.models import cli, plots

from .checkpoints import TEXTS, changed
from .checkpoints import mutated as mutated_checkpoint

COMMAND = "train {} --data {}/photos --out {} --steps {} --json --device cpu --batch {} --every 1e9"
SMALL = "--patch 6 --hidden 8"
CELLS = ["", "nan", "inf", "-1", "x", "1e999", "9" * 5000, "\0", '"', ",", "\n", "\r", "é", "\x1b"]


def prepare(folder: Path) -> Path:
    """Make runs of both models in `folder`, stopped at their end, so that resuming is quick."""
    for name in ("filters", "curves", "side_by_side"):  # plots would take most of the time
        setattr(plots, name, lambda *_, **__: None)
    (folder / "photos").mkdir()
    chance = np.random.default_rng(0)
    for i in range(3):
        pixels = chance.integers(0, 256, (7, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 70)).save(folder / f"photos/{i}.png")
    for model, steps, batch, more in (("ssda", 40, 16, SMALL), ("context-encoder", 2, 1, "")):
        line = COMMAND.format(model, folder, folder / model, steps, batch) + f" {more}"
        assert cli.main(line.split()) == 0
    return folder


def case(folder: Path, work: Path, random: random.Random) -> tuple[str, list[str]]:
    model = random.choice(["ssda", "ssda", "ssda", "context-encoder"])
    run = work / "run"
    shutil.copytree(folder / model, run)
    files = ["config.json", "log.csv", "checkpoint.safetensors"]
    for name in random.sample(files, random.choice([1, 1, 1, 2])):
        _spoil(random, run / name)
    before = _contents(run)
    said, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaint):
        code = cli.main(["train", model, "--resume", str(run), "--json"])
    lines = complaint.getvalue().splitlines()
    problems = []
    if code not in (0, 2):
        problems.append(f"exit code {code}")
    if code == 2 and (len(lines) != 1 or not lines[0].startswith("minidl train: ")):
        problems.append(f"{len(lines)} lines: {lines[:3]}")
    if any(not line.isprintable() for line in lines) or any(len(line) > 1500 for line in lines):
        problems.append(f"unprintable or long: {lines[0][:300]!r}")
    if code == 2 and _contents(run) != before:
        problems.append("refused, but files have changed")
    return f"exit {code}", problems


def _spoil(random: random.Random, file: Path) -> None:
    """Damage a file of a run."""
    content = file.read_bytes()
    if file.suffix == ".safetensors":
        file.write_bytes(mutated_checkpoint(random, content))
        return
    what = random.randrange(7)
    if what == 0:
        file.unlink()
    elif what == 1:
        file.write_bytes(content[: random.randrange(len(content))])
    elif what == 2:
        data = bytearray(content)
        for _ in range(random.choice([1, 3, 20])):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        file.write_bytes(data)
    elif file.suffix == ".json" and what < 6:
        file.write_text(json.dumps(changed(random, json.loads(content))))
    elif file.suffix == ".json":
        file.write_text(random.choice(TEXTS))
    else:
        lines = [line.split(",") for line in content.decode().splitlines()]
        row = random.choice(lines)
        if what == 3:
            lines.insert(random.randrange(len(lines) + 1), list(row))
        elif what == 4:
            row.pop(random.randrange(len(row)))
        else:
            row[random.randrange(len(row))] = random.choice(CELLS)
        file.write_text("\n".join(",".join(row) for row in lines) + "\n", encoding="utf-8")


def _contents(run: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(run.iterdir())}
