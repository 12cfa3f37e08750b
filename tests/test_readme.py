"""The README: its example learns, its commands run as printed, its links exist."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minidl.models.cli import main
from minidl.models.images.files import write
from minidl.models.images.samples import photograph

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = [
    line.partition("  #")[0].strip()
    for block in re.findall(
        r"^```\n(.*?)^```", re.sub(r"(?ms)^```python.*?^```", "", README), re.M | re.S
    )
    for line in block.splitlines()
]
COMMANDS = [line for line in LINES if line.startswith("minidl ")]


def test_the_example_runs_and_learns() -> None:
    example = re.search(r"```python\n(import numpy.*?)```", README, re.DOTALL)
    assert example is not None
    done = subprocess.run(
        [sys.executable, "-c", example.group(1)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    noisy, repaired = (float(line.split()[-1]) for line in done.stdout.splitlines())
    assert noisy == pytest.approx(0.01, rel=0.05)
    assert repaired < noisy / 5


def test_its_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test makes the pictures of `make demo`, and cuts the training to a few steps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo-out").mkdir()
    clean = photograph("camera")[100:260, 100:260]
    noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)
    for name in ("noise-damaged", "text-damaged", "noise-repaired"):
        pixels = clean + noise if name == "noise-damaged" else clean
        write(tmp_path / "demo-out" / f"{name}.png", np.clip(pixels, 0, 1))
    assert [line.split()[1] for line in COMMANDS] == [
        "doctor", "denoise", "remove-text", "fill", "train", "denoise"
    ]  # fmt: skip
    for line in COMMANDS:
        words = shlex.split(line.replace("--minutes 1", "--steps 20 --hidden 16"))[1:]
        assert main(words) == 0, line


def test_its_other_lines_exist() -> None:
    """Check targets of make, extras of pip, and the environment that make fills."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z]+)", README):
        assert f"\n{target}:" in makefile
    for extra in re.findall(r"\.\[(\w+)\]", README):
        assert extra in config["options.extras_require"]
    assert set(LINES) - set(COMMANDS) == {"make demo", "source .venv/bin/activate"}
    assert "BIN = .venv/bin" in makefile


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_links_to_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("data:")]
    assert not [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    names = re.findall(r"`((?:minidl|models|tests|benchmarks|docs|tutorials)/[a-z_0-9./]+[a-z])`",
                       page.read_text(encoding="utf-8"))  # fmt: skip
    assert not [name for name in names if not (ROOT / name).exists()]
