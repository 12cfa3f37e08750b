"""BLAS's matrix product inside of compiled loops: NumPy's own, found in memory by its name."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address
from threadpoolctl import ThreadpoolController

from ..runtime.jit import intrinsic

BYTE = ir.IntType(8)
# SciPy may load a second BLAS, with 32-bit integers. NumPy's has the first of these names.
NAMES = {"scipy_{}_64_": np.int64(0), "{}_64_": np.int64(0), "scipy_{}_": np.int32(0)}


@functools.cache
def gemm(dtype: np.dtype) -> tuple[int, Any, Any]:
    """Return (address of sgemm or dgemm, 1 in its type of numbers, 0 in its type of integers)."""
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype.name]
    loaded = ThreadpoolController().select(internal_api="openblas").lib_controllers  # in any order
    for pattern, count in NAMES.items():
        for library in loaded:
            function = getattr(ctypes.CDLL(library.filepath), pattern.format(name), None)
            if function is not None:
                address = ctypes.cast(function, ctypes.c_void_p).value or 0
                return address, dtype.type(1), count
    address = get_cython_function_address("scipy.linalg.cython_blas", name)  # not OpenBLAS
    return address, dtype.type(1), np.int32(0)


@intrinsic
def multiply(typing, gemm, m, n, k, a, a_row, a_column, b, b_row, b_column, y, y_row):
    """Compute y (m, n) = a (m, k) b (k, n) by BLAS. gemm: see `gemm`.

    a, b, y: addresses. a_row, a_column, ...: the bytes from a row or column to the next. The rows
    or the columns of a are contiguous, and so for b; the rows of y are. BLAS stores matrices
    column by column, so it computes the transposed product y^T = b^T a^T.
    """
    size = gemm.types[1].bitwidth // 8

    def generate(context, builder, signature, values):
        gemm_, m_, n_, k_, a_, a_row_, a_column_, b_, b_row_, b_column_, y_, y_row_ = values
        code, one, zero = cgutils.unpack_tuple(builder, gemm_)

        def on_stack(value):  # Fortran's arguments are addresses
            return cgutils.alloca_once_value(builder, value)

        def count(value):
            return on_stack(value if zero.type == value.type else builder.trunc(value, zero.type))

        def pointer(at):
            return builder.inttoptr(at, one.type.as_pointer())

        def leading_dimension(distance):
            return count(builder.sdiv(distance, ir.Constant(distance.type, size)))

        def matrix(at, row, column):
            """Return the arguments for a matrix: transposition flag, data, leading dimension."""
            plain = builder.icmp_signed("==", column, ir.Constant(column.type, size))
            flag = builder.select(plain, ir.Constant(BYTE, ord("N")), ir.Constant(BYTE, ord("T")))
            distance = builder.select(plain, row, column)
            return on_stack(flag), pointer(at), leading_dimension(distance)

        (flag_b, *b), (flag_a, *a) = matrix(b_, b_row_, b_column_), matrix(a_, a_row_, a_column_)
        beta = on_stack(ir.Constant(one.type, 0))
        passed = [flag_b, flag_a, count(n_), count(m_), count(k_), on_stack(one), *b, *a, beta,
                  pointer(y_), leading_dimension(y_row_)]  # fmt: skip
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(builder.inttoptr(code, kind.as_pointer()), passed)
        return context.get_dummy_value()

    return types.void(gemm, *[types.intp] * 11), generate
