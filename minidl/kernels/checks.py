"""What compiled loops and launches do not see: whether the arrays that they are given fit."""

from __future__ import annotations

import numpy as np

from ..device import Array


def alike(what: str, *arrays: Array) -> None:
    """Raise ValueError unless all have one shape and type: a loop would run past the shortest's
    end."""
    if len({(a.shape, a.dtype) for a in arrays}) > 1:
        given = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise ValueError(f"{what}: expected arrays of one shape and type, got {given}")


def patches_fit(
    total: Array, weight: Array, patches: Array, rows: np.ndarray, columns: np.ndarray, size: int
) -> None:
    """Raise ValueError unless the arguments of `lay_patches` belong together, with patches of
    `size`: at all places, whose numbers are on the CPU, they lie inside of the picture."""
    if patches.shape != (len(rows) * len(columns), size, size) or weight.shape != total.shape:
        raise ValueError(
            f"lay_patches: {patches.shape} for {len(rows)} x {len(columns)} places of {size} x"
            f" {size} on {total.shape} and {weight.shape}"
        )
    for starts, length in zip((rows, columns), total.shape, strict=True):
        if len(starts) and not 0 <= starts.min() <= starts.max() <= length - size:
            raise ValueError(f"lay_patches: a patch of {size} leaves the picture {total.shape}")
