"""Matrix products: by the micro-kernel (`dense.py`) where that is faster, or by BLAS, one thread of
it for each part of the result."""

from __future__ import annotations

import numpy as np

from .. import checks
from . import blas, dense, memory, threads, tiles
from .board import parallel
from .threads import WORTH


@parallel
def _products(gemm, shape, a, b, y, part):
    """Products of shape (m, n, k) for the numbers of this part: of a batch. a, b, y: addresses, and
    how many bytes matrices, rows and columns lie apart."""
    (m, n, k), (a, a_step, a_row, a_column), (b, b_step, b_row, b_column) = shape, a, b
    for i in range(part.first, part.last):
        blas.multiply(gemm, m, n, k, a + i * a_step, a_row, a_column,
                  b + i * b_step, b_row, b_column, y[0] + i * y[1], y[2])  # fmt: skip


@parallel
def _rows(gemm, shape, a, b, y, part):
    """Likewise for the rows of this part of a single result."""
    (_, n, k), (a, _, a_row, a_column), (b, _, b_row, b_column), i = shape, a, b, part.first
    blas.multiply(gemm, part.last - i, n, k, a + i * a_row, a_row, a_column,
              b, b_row, b_column, y[0] + i * y[2], y[2])  # fmt: skip


@parallel
def _columns(gemm, shape, a, b, y, part):
    """Likewise for its columns."""
    (m, _, k), (a, _, a_row, a_column), (b, _, b_row, b_column), i = shape, a, b, part.first
    blas.multiply(gemm, m, part.last - i, k, a, a_row, a_column,
              b + i * b_column, b_row, b_column, y[0] + i * y[3], y[2])  # fmt: skip


def matmul(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """By BLAS, the longer side of the result is split; of a batch of products, the batch."""
    checks.factors_fit(a, b, bias)
    checks.one_type("matmul", a, b, *([] if bias is None else [bias]))
    dtype = a.dtype
    y = memory.empty((*a.shape[:-1], b.shape[-1]), dtype)
    (m, n), k = y.shape[-2:], a.shape[-1]
    if not y.size or not k:
        y[...] = 0 if bias is None else bias
        return y
    if tiles.DENSE and y.ndim == 2 and dense.pays(m, n, k):
        dense.product(a, b, np.zeros(n, dtype) if bias is None else bias, y)
        return y
    (a, of_a), (b, of_b) = _laid_out(a), _laid_out(b)
    loop, length = (_products, len(y)) if y.ndim == 3 else (_rows, m) if m >= n else (_columns, n)
    parts = threads.parts(length, grain=-(-WORTH * length // (y.size * k)))
    gemm = blas.gemm(dtype)
    with threads.blas_alone():
        threads.split(loop, length, parts, gemm, (m, n, k),
                      of_a, of_b, _laid_out(y)[1])  # fmt: skip
    if bias is not None:
        y += bias
    return y


def _laid_out(m: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """m (..., rows, columns), copied if neither its rows nor its columns are runs of memory; its
    address, and how many bytes matrices, rows and columns lie apart."""
    (rows, columns), (row, column), size = m.shape[-2:], m.strides[-2:], m.itemsize
    if column == size and (rows == 1 or row >= columns * size):
        row = max(row, columns * size)  # of a single row NumPy may say anything
    elif row == size and (columns == 1 or column >= rows * size):
        column = max(column, rows * size)
    else:
        return _laid_out(np.array(m, order="C"))
    return m, (m.ctypes.data, m.strides[0] if m.ndim == 3 else 0, row, column)
