"""Matrix products by NumPy's BLAS, called on one thread for each chunk of the result."""

from __future__ import annotations

import numpy as np

from .. import tuning
from ..runtime import threadpool
from ..runtime.jobs import parallel_jit
from . import blas

# A layout: (address, bytes from a matrix of a batch to the next, from a row to the next, from a
# column to the next). sgemm: the result of `blas.gemm`. shape: (m, n, k).


@parallel_jit
def _batch(sgemm, shape, a, b, y, chunk):
    """Compute y = a b for the matrices of this chunk. a, b, y: layouts."""
    (m, n, k), (a, a_step, a_row, a_column), (b, b_step, b_row, b_column) = shape, a, b
    for i in range(chunk.first, chunk.last):
        blas.multiply(sgemm, m, n, k, a + i * a_step, a_row, a_column,
                  b + i * b_step, b_row, b_column, y[0] + i * y[1], y[2])  # fmt: skip


@parallel_jit
def _rows(sgemm, shape, a, b, y, chunk):
    """Compute y = a b, a single product, for the rows of this chunk. a, b, y: layouts."""
    (_, n, k), (a, _, a_row, a_column), (b, _, b_row, b_column), i = shape, a, b, chunk.first
    blas.multiply(sgemm, chunk.last - i, n, k, a + i * a_row, a_row, a_column,
              b, b_row, b_column, y[0] + i * y[2], y[2])  # fmt: skip


@parallel_jit
def _columns(sgemm, shape, a, b, y, chunk):
    """Compute y = a b, a single product, for the columns of this chunk. a, b, y: layouts."""
    (m, _, k), (a, _, a_row, a_column), (b, _, b_row, b_column), i = shape, a, b, chunk.first
    blas.multiply(sgemm, m, chunk.last - i, k, a, a_row, a_column,
              b + i * b_column, b_row, b_column, y[0] + i * y[3], y[2])  # fmt: skip


def blas_gemm(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
    """Compute y (..., M, N) = a (..., M, K) b (..., K, N) + bias (N,), or without a bias.

    All arrays have one type, and y is C-contiguous. The threads share the matrices of a batch; a
    single product is split along the longer side of y.
    """
    (m, n), k = y.shape[-2:], a.shape[-1]
    (a, a_layout), (b, b_layout) = _layout(a), _layout(b)
    loop, length = (_batch, len(y)) if y.ndim == 3 else (_rows, m) if m >= n else (_columns, n)
    grain = -(-tuning.MIN_MULTIPLIES * length // (y.size * k))
    with threadpool.blas_alone():
        threadpool.parallel_for(loop, length, threadpool.chunk_count(length, grain=grain),
                                blas.gemm(y.dtype), (m, n, k), a_layout, b_layout,
                                _layout(y)[1])  # fmt: skip
    if bias is not None:
        y += bias


def _layout(m: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Return (m, its layout), for m (..., rows, columns).

    m is copied if neither its rows nor its columns are contiguous.
    """
    (rows, columns), (row, column), size = m.shape[-2:], m.strides[-2:], m.itemsize
    if column == size and (rows == 1 or row >= columns * size):
        row = max(row, columns * size)  # NumPy may give a single row any stride
    elif row == size and (columns == 1 or column >= rows * size):
        column = max(column, rows * size)
    else:
        return _layout(np.array(m, order="C"))
    return m, (m.ctypes.data, m.strides[0] if m.ndim == 3 else 0, row, column)
