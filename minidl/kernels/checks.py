"""Checks of a kernel's arrays. Compiled loops and launches on a GPU do not check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ..device import Array

Padding: TypeAlias = tuple[int, int, int, int]  # top, bottom, left, right

FLOATS: frozenset[np.dtype] = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
PLACES = np.dtype(np.int64)  # the type of the places in `fold`


def sound(what: str, arrays: Sequence[Array], types: frozenset[np.dtype]) -> None:
    """Raise ValueError unless all are aligned arrays of these types, in the machine's byte order.

    Compiled code would read swapped bytes as other numbers.
    """
    for a in arrays:
        flags = getattr(a, "flags", None)  # CuPy's arrays are always aligned, and do not say so
        if flags is None or a.dtype not in types or not getattr(flags, "aligned", True):
            kinds = " or ".join(sorted(map(str, types)))
            given = f"a {type(a).__name__}" if flags is None else f"{a.dtype} {a.shape}"
            if flags is not None and a.dtype in types:
                given = f"unaligned {given}"
            raise ValueError(
                f"{what}: expected arrays of {kinds}, aligned and in this machine's order of"
                f" bytes, got {given}; a.astype(np.float32) makes one"
            )


def alike(what: str, *arrays: Array) -> None:
    """Raise ValueError unless all have one shape and type.

    A loop would run past the end of the shortest array.
    """
    if len({(a.shape, a.dtype) for a in arrays}) > 1:
        given = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise ValueError(f"{what}: expected arrays of one shape and type, got {given}")


def one_type(what: str, *arrays: Array) -> None:
    """Raise ValueError unless all arrays are float32, or all are float64.

    Compiled code reads all arrays as the type of one of them.
    """
    if len({a.dtype for a in arrays}) > 1 or arrays[0].dtype not in FLOATS:
        given = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise ValueError(f"{what}: expected arrays of one type, float32 or float64, got {given}")


def has_channels(what: str, x: Array) -> None:
    """Raise ValueError unless x is (..., C)."""
    if not x.ndim:
        raise ValueError(f"{what}: expected an array (..., C), got a single number")


def factors_fit(a: Array, b: Array, bias: Array | None) -> None:
    """Raise ValueError unless a and b are two matrices, or two batches of matrices, that can be
    multiplied, and the bias is None or, for a single product, fits its rows."""
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
    """Raise ValueError unless the arguments of `fold` fit together.

    The patches have the window's size, and lie inside the picture. rows, columns: on the CPU.
    """
    for name, array in (("total", total), ("weight", weight)):
        if array.dtype != np.float64 or not array.flags.c_contiguous:
            raise ValueError(f"fold: {name} must be float64 and C-contiguous")
        if not getattr(array.flags, "writeable", True):
            raise ValueError(f"fold: {name} is read-only")
    for starts in (rows, columns):
        if starts.dtype != PLACES:
            raise ValueError(f"fold: places are {starts.dtype}, expected {PLACES}")
    for array in (patches, window):
        one_type("fold", array)
    size = len(window)
    if window.shape != (size, size):
        raise ValueError(f"fold: the window is {window.shape}, expected a square")
    pictures = total.ndim == 2 and weight.shape == total.shape
    if patches.shape != (len(rows) * len(columns), size, size) or not pictures:
        raise ValueError(
            f"fold: {patches.shape} for {len(rows)} x {len(columns)} places of {size} x"
            f" {size} on {total.shape} and {weight.shape}"
        )
    for starts, length in zip((rows, columns), total.shape, strict=True):
        if len(starts) and not 0 <= starts.min() <= starts.max() <= length - size:
            raise ValueError(f"fold: a patch of {size} leaves the picture {total.shape}")


def output_size(
    size: tuple[int, int],
    kernel_size: tuple[int, int],
    stride: int,
    padding: Padding,
) -> tuple[int, int]:
    """Return (P, Q), the number of a convolution's windows along either side."""
    (H, W), (K, L), (top, bottom, left, right) = size, kernel_size, padding
    return (top + H + bottom - K) // stride + 1, (left + W + right - L) // stride + 1
