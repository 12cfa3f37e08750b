"""The register tile: how many outputs the micro-kernel keeps in registers, by processor.

The literature calls its sides MR and NR (Goto & van de Geijn, *Anatomy of High-Performance Matrix
Multiplication*, ACM TOMS 2008; Van Zee & van de Geijn, *BLIS*, ACM TOMS 2015). Here MR rows of two
vectors each stay in registers. Three registers are left: two for a row of B, one for the number of
A that multiplies it. A core has 32 vector registers with AVX-512, 16 without.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import binding


@dataclass(frozen=True)
class RegisterTile:
    """MR rows of two vectors. vector: bytes of a vector register."""

    MR: int
    vector: int

    def lanes(self, dtype: Any) -> int:
        """Return how many numbers of a type a vector holds."""
        return self.vector // np.dtype(dtype).itemsize

    def NR(self, dtype: Any) -> int:
        """Return the number of columns of the tile, and of a panel."""
        return 2 * self.lanes(dtype)


TILES = {"avx512": RegisterTile(8, 64), "avx2": RegisterTile(6, 32), "plain": RegisterTile(6, 16)}


def _choose() -> RegisterTile:
    """Return the tile for this processor, or the one that MINIDL_SIMD names."""
    wanted = os.environ.get("MINIDL_SIMD", "")
    if wanted:
        if wanted not in TILES:
            raise ValueError(f"MINIDL_SIMD is {wanted!r}; expected one of {', '.join(TILES)}")
        return TILES[wanted]
    has = binding.get_host_cpu_features()
    name = "avx512" if has.get("avx512f") else "avx2" if has.get("avx2") and has.get("fma") else ""
    return TILES[name or "plain"]


TILE = _choose()
