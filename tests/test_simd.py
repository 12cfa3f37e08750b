"""The micro-kernel of other processors: every tile except this processor's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidl.kernels.cpu.gemm.register_tile import TILE, TILES

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("simd", [name for name, tile in TILES.items() if tile != TILE])
@pytest.mark.parametrize(
    "wanted",
    ["test_conv2d_kernels and cpu and blocks and float32", "test_products and float32 and True"],
)
def test_products_with_another_tile(wanted: str, simd: str) -> None:
    """The compiler splits vectors that this processor lacks, so any tile runs here."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted,
         "tests/test_convolution.py", "tests/test_dense.py"],
        cwd=ROOT, env={**os.environ, "MINIDL_SIMD": simd}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert "passed" in run.stdout


def test_an_unknown_tile_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import minidl.kernels.cpu"],
        env={**os.environ, "MINIDL_SIMD": "mmx"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "MINIDL_SIMD is 'mmx'; expected one of avx512, avx2, plain" in run.stderr
