"""The README's example runs, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_example_runs_and_learns() -> None:
    example = re.search(r"```python\n(import numpy.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    done = subprocess.run(
        [sys.executable, "-c", example.group(1)],
        capture_output=True,
        text=True,
        cwd=README.parent,
        check=True,
    )
    noisy, repaired = (float(line.split()[-1]) for line in done.stdout.splitlines())
    assert noisy == pytest.approx(0.01, rel=0.05)
    assert repaired < noisy / 5


def test_files_that_it_links_to_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    local = [link for link in links if "://" not in link]
    assert local and not [link for link in local if not (README.parent / link).exists()]
