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
# SciPy may bring a BLAS too, which counts in 32 bits; NumPy's has the first of these names.
NAMES = {"scipy_{}_64_": np.int64(0), "{}_64_": np.int64(0), "scipy_{}_": np.int32(0)}


@functools.cache
def gemm(dtype: np.dtype) -> tuple[int, Any, Any]:
    """Return (address of sgemm or dgemm, 1 in its type of numbers, 0 in its type of counts)."""
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype.name]
    loaded = ThreadpoolController().select(internal_api="openblas").lib_controllers  # in any order
    for pattern, count in NAMES.items():
        for library in loaded:
            function = getattr(ctypes.CDLL(library.filepath), pattern.format(name), None)
            if function is not None:
                address = ctypes.cast(function, ctypes.c_void_p).value or 0
                return address, dtype.type(1), count
    address = get_cython_function_address("scipy.linalg.cython_blas", name)  # where it is another
    return address, dtype.type(1), np.int32(0)


@intrinsic
def multiply(typing, gemm, m, n, k, a, a_row, a_column, b, b_row, b_column, y, y_row):
    """y (m, n) = a (m, k) b (k, n): addresses, and how many bytes rows and columns lie apart.

    One of a's two distances is that of neighbours, so of b's; y's columns are neighbours. BLAS
    counts along columns: to it all is transposed, and y' = b' a'.
    """
    size = gemm.types[1].bitwidth // 8

    def generate(context, builder, signature, values):
        gemm_, m_, n_, k_, a_, a_row_, a_column_, b_, b_row_, b_column_, y_, y_row_ = values
        code, one, zero = cgutils.unpack_tuple(builder, gemm_)

        def on_stack(value):  # Fortran takes everything by its address
            return cgutils.alloca_once_value(builder, value)

        def count(value):
            return on_stack(value if zero.type == value.type else builder.trunc(value, zero.type))

        def numbers(at):
            return builder.inttoptr(at, one.type.as_pointer())

        def apart(distance):
            return count(builder.sdiv(distance, ir.Constant(distance.type, size)))

        def matrix(at, row, column):
            """(whether it is to be transposed, its address, the longer distance)"""
            plain = builder.icmp_signed("==", column, ir.Constant(column.type, size))
            flag = builder.select(plain, ir.Constant(BYTE, ord("N")), ir.Constant(BYTE, ord("T")))
            return on_stack(flag), numbers(at), apart(builder.select(plain, row, column))

        (of_b, *b), (of_a, *a) = matrix(b_, b_row_, b_column_), matrix(a_, a_row_, a_column_)
        nothing = on_stack(ir.Constant(one.type, 0))
        passed = [of_b, of_a, count(n_), count(m_), count(k_), on_stack(one), *b, *a, nothing,
                  numbers(y_), apart(y_row_)]  # fmt: skip
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(builder.inttoptr(code, kind.as_pointer()), passed)
        return context.get_dummy_value()

    return types.void(gemm, *[types.intp] * 11), generate
