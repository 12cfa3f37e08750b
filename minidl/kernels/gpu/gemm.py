"""Matrix products, by cuBLAS or by the kernel that convolutions use as well."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...device import Array, is_recording
from .. import checks
from . import launch

ROWS = 128  # of the result that a block computes, as in gemm.cu
COLUMNS = 16, 64, 128  # of the result that a block computes, to choose from
BUSY = 264  # blocks that keep a large GPU busy: two on each of 132 multiprocessors
SHORTEST = 256  # numbers of a sum that are worth a block of their own

STEPS = np.dtype([(name, np.int64) for name in ("batch", "outer", "inner")], align=True)


def by_cublas(a: Array, b: Array) -> bool:
    """Return whether cuBLAS multiplies.

    It does not while a CUDA graph is recorded, because CuPy's cuBLAS cannot be recorded, and not
    for transposed batches, because CuPy would copy them.
    """
    in_order = a.flags.c_contiguous and b.flags.c_contiguous
    return (a.ndim == 2 or in_order) and not is_recording()


def matmul(a: Array, b: Array, bias: Array | None = None) -> Array:
    checks.factors_fit(a, b, bias)
    launch.check_types("matmul", a, b, *([] if bias is None else [bias]))
    y = product(a, b)
    if bias is not None:
        y += bias
    return y


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a b as in `matmul`, by cuBLAS or by our own kernel."""
    return launch.multiply(a, b, out) if by_cublas(a, b) else by_tiles(a, b, out)


def by_tiles(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a b as in `matmul`, by our own kernel, which reads views without a copy."""
    shape = (*a.shape[:-1], b.shape[-1])
    if a.ndim == 2:
        a, b = a[None], b[None]
    (batch, M, K), N = a.shape, b.shape[2]
    steps = [
        np.array((m.strides[0], m.strides[outer], m.strides[inner]), STEPS)
        for m, outer, inner in ((a, 1, 2), (b, 2, 1))
    ]
    for step in steps:
        for name in STEPS.names or ():
            step[name] //= a.dtype.itemsize
    inner_first = [str(bool(abs(s["inner"]) <= abs(s["outer"]))).lower() for s in steps]
    columns = max(64, columns_of(N, math.ceil(M / ROWS) * batch, a.dtype))
    kernel = f"matmul<T, {columns}, {', '.join(inner_first)}>"
    tiles = math.ceil(M / ROWS), math.ceil(N / columns)

    def run(y: Array, bias: Array | int, parts: int) -> None:
        grid = (*tiles, batch * parts)
        launch.launch(kernel, y.dtype, grid, a, b, y, *steps, batch, M, N, K, parts)

    return in_parts(run, shape, a.dtype, tiles=math.prod(tiles) * batch, length=K, out=out)


def columns_of(width: int, rows: int, dtype: np.dtype) -> int:
    """Return the width of the result's tiles. rows: the number of rows of tiles.

    Three channels would leave most of a wide tile unused. The widest tiles are up to a quarter
    faster, but they exist only for float32, and there must be enough for all multiprocessors.
    """
    narrow, middle, wide = COLUMNS
    if width <= narrow:
        return narrow
    fits = dtype == np.float32 and width % wide == 0 and rows * (width // wide) >= BUSY // 2
    return wide if fits else middle


def parts_of(tiles: int, length: int) -> int:
    """Return the number of parts into which sums of this length are cut, to keep the GPU busy.

    It depends on sizes only, so that all GPUs round in the same way.
    """
    return max(1, min(BUSY // max(1, tiles), length // SHORTEST))


def in_parts(
    run: Callable[[Array, Array | int, int], None],
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    tiles: int,
    length: int,
    bias: Array | int = 0,
    out: Array | None = None,
) -> Array:
    """Return the array of this shape that `run(y, bias, parts)` computes, in parts if need be.

    y: (parts, *shape), or `shape` for a single part; this function adds the parts up. bias
    (shape[-1],), or 0 for none.
    """
    y = launch.empty(shape, dtype) if out is None else out
    parts = parts_of(tiles, length)
    if parts == 1:
        run(y, bias, 1)
    else:
        many = launch.empty((parts, *shape), dtype)
        run(many, 0, parts)
        add(many, y, bias)
    return y


def add(many: Array, y: Array, bias: Array | int = 0) -> None:
    """Compute y (..., C), the sum over the first axis of `many` (parts, ..., C), plus bias (C,)."""
    size, columns = y.size, max(1, y.shape[-1])
    launch.launch(
        "add_parts<T>", y.dtype, launch.blocks(size), many, bias, y, size, columns, len(many)
    )
