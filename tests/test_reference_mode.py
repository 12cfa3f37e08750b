"""The library without Numba: `reference.py` computes everything, and one line says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minidl import kernels
from minidl.models.cli import main
from minidl.models.images.files import read, write
from minidl.models.images.samples import photograph

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None\n"
NOTE = "minidl: Numba cannot be imported"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process from the root of the repository."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_example_runs_without_numba() -> None:
    example = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)[0]
    done = python(WITHOUT_NUMBA + example)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and done.stderr.startswith(NOTE) and done.stderr.count("\n") == 1


def test_a_photograph_is_denoised_without_numba(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = photograph("camera")[200:264, 200:264]
    noisy = noisy + rng.normal(0, 25 / 255, noisy.shape).astype(np.float32)
    write(tmp_path / "noisy.png", np.clip(noisy, 0, 1))
    here = ["denoise", str(tmp_path / "noisy.png"), "--sigma", "25", "-o"]
    code = "from minidl.models.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA + code, *here, str(tmp_path / "slow.png")],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr.startswith(NOTE), done.stderr
    assert main([*here, str(tmp_path / "fast.png")]) == 0
    slow, fast = (read(tmp_path / f"{name}.png").pixels for name in ("slow", "fast"))
    assert np.abs(slow - fast).max() <= 1.01 / 255  # the last bit of a rounded grey level


@pytest.mark.parametrize(("value", "expected"), [("reference", "minidl.kernels.reference"),
                                                 ("numba", "minidl.kernels.cpu"),
                                                 ("", "minidl.kernels.cpu")])  # fmt: skip
def test_the_environment_chooses(value: str, expected: str) -> None:
    code = "from minidl import kernels; print(kernels.implementation('cpu').__name__)"
    done = python(code, MINIDL_KERNELS=value)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_an_unknown_value_is_refused() -> None:
    done = python("from minidl import kernels; kernels.implementation('cpu')", MINIDL_KERNELS="c")
    assert done.stderr.endswith("MINIDL_KERNELS is 'c', expected numba or reference\n")
    done = python("from minidl.models.cli import main; main(['doctor'])", MINIDL_KERNELS="c")
    assert done.stderr == "minidl doctor: MINIDL_KERNELS is 'c', expected numba or reference\n"


def test_doctor_tells() -> None:
    code = "from minidl.models.cli import main; main(['doctor'])"
    said = python(code, MINIDL_KERNELS="reference").stdout
    assert "kernels    NumPy alone, slow: MINIDL_KERNELS is reference" in said


def test_a_kernel_leads_to_its_meaning() -> None:
    """An editor goes from `kernels.matmul` to `reference.matmul`."""
    for name in kernels.NAMES:
        assert getattr(kernels, name).__wrapped__ is getattr(kernels.reference, name)
