"""Matrix products by NumPy's BLAS, one thread of it for each part of the result."""

from __future__ import annotations

import numpy as np

from . import memory, threads
from .threads import WORTH


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The longer side of the result is split; of a batch of products, the batch."""
    y = memory.empty((*a.shape[:-1], b.shape[-1]), np.result_type(a, b))
    rows, columns, depth = a.shape[-2], b.shape[-1], a.shape[-1]

    def by_product(first: int, last: int) -> None:
        np.matmul(a[first:last], b[first:last], out=y[first:last])

    def by_row(first: int, last: int) -> None:
        np.matmul(a[first:last], b, out=y[first:last])

    def by_column(first: int, last: int) -> None:
        np.matmul(a, b[:, first:last], out=y[:, first:last])

    with threads.blas_alone():
        if y.ndim == 3:
            threads.split(by_product, len(y), grain=-(-WORTH // max(1, rows * columns * depth)))
        elif rows >= columns:
            threads.split(by_row, rows, grain=-(-WORTH // max(1, columns * depth)))
        else:
            threads.split(by_column, columns, grain=-(-WORTH // max(1, rows * depth)))
    return y
