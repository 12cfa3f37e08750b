"""Matrix products: by the micro-kernel or by NumPy's BLAS, whichever is faster here."""

from __future__ import annotations

import numpy as np

from .. import checks
from .gemm import choice
from .gemm.blas_gemm import blas_gemm
from .gemm.gemm import gemm, worth_it
from .runtime import buffer_pool


def matmul(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """See `reference.matmul`. Threads share the matrices of a batch, or the longer side of y."""
    checks.factors_fit(a, b, bias)
    checks.one_type("matmul", a, b, *([] if bias is None else [bias]))
    y = buffer_pool.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    (m, n), k = y.shape[-2:], a.shape[-1]
    if not y.size or not k:
        y[...] = 0 if bias is None else bias
    elif y.ndim == 2 and worth_it(m, n, k) and choice.choose().micro_kernel:
        gemm(a, b, bias, y)
    else:
        blas_gemm(a, b, bias, y)
    return y
