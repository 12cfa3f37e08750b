"""How many outputs of a convolution stay in registers, for each kind of processor.

Of the registers of a core (32 with AVX-512, else 16), a tile of ROWS x 2 vectors leaves three: for
the two vectors of factors, and for the number that multiplies them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import binding


@dataclass(frozen=True)
class Tile:
    """What fits the registers: rows x 2 vectors of so many bytes, with 3 registers to spare."""

    rows: int
    vector: int

    def lanes(self, dtype: Any) -> int:
        """Numbers of a type in a vector."""
        return self.vector // np.dtype(dtype).itemsize

    def columns(self, dtype: Any) -> int:
        """Numbers in a row of a tile, and of a panel."""
        return 2 * self.lanes(dtype)


TILES = {"avx512": Tile(8, 64), "avx2": Tile(6, 32), "plain": Tile(6, 16)}


def _choose() -> Tile:
    """The tile for this processor, or the one that MINIDL_SIMD names."""
    wanted = os.environ.get("MINIDL_SIMD", "")
    if wanted:
        if wanted not in TILES:
            raise ValueError(f"MINIDL_SIMD is {wanted!r}; expected one of {', '.join(TILES)}")
        return TILES[wanted]
    has = binding.get_host_cpu_features()
    name = "avx512" if has.get("avx512f") else "avx2" if has.get("avx2") and has.get("fma") else ""
    return TILES[name or "plain"]


# Processors whose dense products the micro-kernel computes faster than NumPy's BLAS: on znver4 with
# 105 GFLOP/s of one core instead of 101, for (500 x 1280) times (1280 x 1280) float32. Not so with
# its tile for AVX2, 85 to 90, nor on an Intel Xeon with two units for AVX-512, 0.85 of BLAS.
DENSE_ON = {"znver4"}


def _dense() -> bool:
    """Whether matrix products are the micro-kernel's; MINIDL_DENSE = tiles or blas says it too."""
    wanted = os.environ.get("MINIDL_DENSE", "")
    if wanted not in ("", "tiles", "blas"):
        raise ValueError(f"MINIDL_DENSE is {wanted!r}; expected tiles or blas")
    if wanted:
        return wanted == "tiles"
    return TILE is TILES["avx512"] and binding.get_host_cpu_name() in DENSE_ON


TILE = _choose()
DENSE = _dense()
