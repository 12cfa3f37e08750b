"""Patches laid over each other on a picture, each pixel by a thread of its own."""

from __future__ import annotations

from ...device import Array
from .. import checks
from . import launch


def fold(
    total: Array, weight: Array, patches: Array, rows: Array, columns: Array, window: Array
) -> None:
    size, (H, W) = len(window), total.shape
    places = launch.numbers(rows), launch.numbers(columns)
    checks.patches_fit(total, weight, patches, *places, window)
    (patches,), (window,) = (launch.check("fold", a) for a in (patches, window))
    launch.launch(
        f"fold<T, {launch.TYPES[window.dtype.char]}>", patches.dtype, launch.blocks(H * W),
        total, weight, patches, launch.contiguous(rows), launch.contiguous(columns), window,
        H, W, len(rows), len(columns), size,
    )  # fmt: skip
