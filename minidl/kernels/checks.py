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


def one_type(what: str, *arrays: Array) -> None:
    """Raise ValueError unless all are float32, or all float64: a loop would read them as if they
    were."""
    if len({a.dtype for a in arrays}) > 1 or arrays[0].dtype not in (np.float32, np.float64):
        given = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise ValueError(f"{what}: expected arrays of one type, float32 or float64, got {given}")


def factors_fit(a: Array, b: Array, bias: Array | None) -> None:
    """Raise ValueError unless the arguments of `matmul` are two matrices, or two batches of them,
    that can be multiplied, and the bias, if there is one, fits a row of a single product."""
    if a.ndim != b.ndim or a.ndim not in (2, 3) or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: expected (M, K) and (K, N), got {a.shape} and {b.shape}")
    if a.shape[:-2] != b.shape[:-2]:
        raise ValueError(f"matmul: expected as many of a as of b, got {a.shape} and {b.shape}")
    if bias is not None and (a.ndim, bias.shape) != (2, b.shape[1:]):
        raise ValueError(f"matmul: expected a bias {b.shape[1:]} for matrices, got {bias.shape}")


def patches_fit(
    total: Array,
    weight: Array,
    patches: Array,
    rows: np.ndarray,
    columns: np.ndarray,
    window: Array,
) -> None:
    """Raise ValueError unless the arguments of `lay_patches` belong together, with patches of the
    window's size: at all places, whose numbers are on the CPU, they lie inside of the picture."""
    size = len(window)
    if window.shape != (size, size):
        raise ValueError(f"lay_patches: the window is {window.shape}, expected a square")
    if patches.shape != (len(rows) * len(columns), size, size) or weight.shape != total.shape:
        raise ValueError(
            f"lay_patches: {patches.shape} for {len(rows)} x {len(columns)} places of {size} x"
            f" {size} on {total.shape} and {weight.shape}"
        )
    for starts, length in zip((rows, columns), total.shape, strict=True):
        if len(starts) and not 0 <= starts.min() <= starts.max() <= length - size:
            raise ValueError(f"lay_patches: a patch of {size} leaves the picture {total.shape}")
