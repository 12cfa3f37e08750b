"""The micro-kernel in registers, against the same tile in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl.kernels.cpu.gemm.microkernel import MR, A, B, C, brgemm, plain_tile
from minidl.kernels.cpu.gemm.register_tile import TILE, TILES
from minidl.kernels.cpu.runtime.jit import jit


@jit
def multiply(a, b, c, k, n, panels):
    brgemm(a, b, c, k, n, panels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inits", [1, 2])
def test_the_tile_is_its_plain_loops(inits: int, dtype: Any, rng: np.random.Generator) -> None:
    """Compare at random offsets of rows, taps and panels; the last panel is not full."""
    NR, k, taps, rows = TILE.NR(dtype), 5, 3, 2 * MR
    n = 2 * NR + NR // 2 + 1

    def numbers(count: int) -> np.ndarray:
        return rng.standard_normal(count).astype(dtype)

    a = A(numbers(400), rng.integers(0, 200, rows), rng.integers(0, 150, taps), 7)
    b_rows = np.array([5, 0, 10])
    b = B(numbers(3 * 15 * NR), b_rows, 15 * NR, NR)
    init = tuple(numbers(rows * n + 3) for _ in range(inits))
    init_rows = tuple(n * rng.permutation(rows) + rng.integers(0, 4, rows) for _ in range(inits))
    c_rows = n * rng.permutation(rows)
    expected, found = np.full(rows * n, 9, dtype), np.full(rows * n, 9, dtype)
    for p in (1, 2):
        for r in range(0, rows, MR):
            c = C(expected, c_rows, init, init_rows)
            plain_tile(a, b, c, k, p, r, p * NR, min(NR, n - p * NR))
    multiply(a, b, C(found, c_rows, init, init_rows), k, n, (1, 3))
    np.testing.assert_allclose(found, expected, rtol=0, atol=50 * np.finfo(dtype).eps)
    untouched = np.ones(rows * n, bool).reshape(rows, n)
    untouched[:, NR:] = False
    assert (found.reshape(rows, n)[untouched] == 9).all()  # panel 0 is not computed


def test_the_tile_fits_the_registers() -> None:
    """A tile needs 2 MR + 3 registers, of 32 with AVX-512 and of 16 without."""
    for name, tile in TILES.items():
        assert (32 if name == "avx512" else 16) >= 2 * tile.MR + 3
