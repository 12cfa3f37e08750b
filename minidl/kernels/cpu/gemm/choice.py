"""The choice between the micro-kernel and BLAS for large products, measured once per machine.

The micro-kernel is faster than NumPy's BLAS on AMD's Zen 4: 105 GFLOP/s of one core instead of 101,
for (500 x 1280) times (1280 x 1280) float32. On an Intel Xeon with two units for AVX-512 it has
0.85 of BLAS's speed. With the 16 registers of AVX2 it is slower on each processor that was tried,
85 to 90 GFLOP/s on Zen 4. So the two are timed only where the tile is that of AVX-512.

The two differ in the last bits of their results. So a machine keeps its first answer, in a file
beside Numba's cache. Without such a file BLAS multiplies. `MINIDL_DENSE`, "tiles" or "blas",
overrules the measurement.
"""

from __future__ import annotations

import functools
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from llvmlite import binding

from ..runtime import jit
from .blas_gemm import blas_gemm
from .gemm import gemm
from .register_tile import TILE, TILES

# (M, K, N): layers of paper 1 for a batch, too small for Strassen's products, which take a while to
# compile.
SHAPES = [(256, 196, 880), (500, 220, 1000)]
ROUNDS = 5  # the two are timed in turn; the shortest times count
MIN_GAIN = 1.03  # the micro-kernel must be this much faster: noise must not decide


class Choice(NamedTuple):
    """The choice. micro_kernel: True if it multiplies large matrices. reason: a sentence."""

    micro_kernel: bool
    reason: str


def _forced() -> str:
    """Return MINIDL_DENSE: "tiles", "blas" or "". Raises ValueError for another value."""
    wanted = os.environ.get("MINIDL_DENSE", "")
    if wanted not in ("", "tiles", "blas"):
        raise ValueError(f"MINIDL_DENSE is {wanted!r}; expected tiles or blas")
    return wanted


FORCED = _forced()


@functools.cache
def choose() -> Choice:
    """Return the choice: by MINIDL_DENSE, by the file, or by a measurement of a few seconds."""
    if FORCED:
        return Choice(FORCED == "tiles", f"MINIDL_DENSE is {FORCED}")
    if TILE is not TILES["avx512"]:
        return Choice(False, "the micro-kernel needs AVX-512 to be faster")
    path = _path()
    if path is None:
        return Choice(False, "there is no folder to keep a measurement in")
    ratio = _read(path)
    if ratio is None:
        ratio = _keep(path, _measure())
    if ratio is None:
        return Choice(False, f"the measurement cannot be kept in {path}")
    return Choice(ratio >= MIN_GAIN, f"the micro-kernel has {ratio:.2f} times the speed of BLAS")


def _path() -> Path | None:
    """Return the file for this processor, tile and NumPy, or None if there is no folder."""
    folder, name = jit.cache_folder(), binding.get_host_cpu_name()
    key = zlib.crc32(f"{name} {TILE} {np.__version__}".encode())
    return folder and folder / f"speed-of-micro-kernel-{key:08x}.txt"


def _read(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _keep(path: Path, ratio: float) -> float | None:
    """Write the ratio, and return it; if another process wrote one before, return that."""
    try:
        if _read(path) is None:  # damaged, or not there
            path.unlink(missing_ok=True)
        with path.open("x") as file:
            file.write(f"{ratio:.3f}\n")
    except FileExistsError:
        pass
    except OSError:
        return None
    return _read(path)


def _measure() -> float:
    """Return the time of BLAS divided by that of the micro-kernel, over SHAPES, in float32."""
    blas = tiles = 0.0
    for M, K, N in SHAPES:
        a, b = np.ones((M, K), np.float32), np.ones((K, N), np.float32)
        y = np.empty((M, N), np.float32)
        times = [(_time(blas_gemm, a, b, y), _time(gemm, a, b, y)) for _ in range(ROUNDS)]
        blas, tiles = blas + min(t for t, _ in times), tiles + min(t for _, t in times)
    return blas / tiles


def _time(product: Callable[..., None], a: np.ndarray, b: np.ndarray, y: np.ndarray) -> float:
    began = time.perf_counter()
    product(a, b, None, y)
    return time.perf_counter() - began
