"""Patches laid over each other on a picture, each pixel by a thread of its own."""

from __future__ import annotations

import numpy as np

from ...device import Array
from . import launch


def lay_patches(
    total: Array, weight: Array, patches: Array, rows: Array, columns: Array, window: Array
) -> None:
    size, (H, W) = len(window), total.shape
    if patches.shape != (len(rows) * len(columns), size, size) or weight.shape != total.shape:
        raise ValueError(
            f"lay_patches: {patches.shape} for {len(rows)} x {len(columns)} places of {size} x"
            f" {size} on {total.shape} and {weight.shape}"
        )
    for name, array in (("total", total), ("weight", weight)):
        if not array.flags.c_contiguous or array.dtype != np.float64:
            raise ValueError(f"lay_patches: {name} must be float64 and C-contiguous")
    for starts, length in ((rows, H), (columns, W)):
        numbers = launch.numbers(starts)
        if starts.dtype != np.int64:
            raise ValueError(f"lay_patches: places are {starts.dtype}, expected int64")
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= length - size:
            raise ValueError(f"lay_patches: a patch of {size} leaves the picture {total.shape}")
    (patches,), (window,) = (launch.check("lay_patches", a) for a in (patches, window))
    launch.launch(
        f"lay_patches<T, {launch.TYPES[window.dtype.char]}>", patches.dtype, launch.blocks(H * W),
        total, weight, patches, launch.contiguous(rows), launch.contiguous(columns), window,
        H, W, len(rows), len(columns), size,
    )  # fmt: skip
