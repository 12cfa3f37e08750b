"""The micro-kernel: a batch-reduce matrix product with indirect rows, on a tile of registers.

                          B, a panel
                         +---------------------+
                       k | vector   | vector   |   for each tap: k rows of NR numbers, packed
                         +---------------------+
          A                         x
       +----+            +---------------------+
       | k  | row 0  ->  | row 0, in 2 registers
       | k  | row 1  ->  | row 1               |   C: MR x NR accumulators
       | k  |  ...   ->  |  ...                |
       +----+            +---------------------+

    C[r, :] = sum over i of init[i][r, :] + sum over taps t and over k of A[r, t, k] B[t, k, :]

This is BRGEMM, the batch-reduce GEMM of oneDNN (Georganas et al., *Harnessing Deep Learning via a
Single Building Block*, IPDPS 2020): a sum of small products that is rounded and stored once. Tables
of offsets say where the rows of A, B and C are, as in the indirect convolution algorithm (Dukhan
2019; XNNPACK calls it IGEMM). So a convolution reads its windows where they lie in the picture,
without im2col. The forward pass, both gradients and the matrix product are this one routine with
other tables.

A processor multiplies and adds two vectors in each cycle, but only from registers: a number read
from A serves two vectors, and a vector read from B serves MR rows. The lines of C are prefetched
while the tile is computed: this saves 3 % of the time for sums of 256 terms, 6 % for 128 (AMD Zen
4).

The tile is written in LLVM, because Numba's own loops do not keep it in registers: they reach 37 to
63 GFLOP/s, the tile 130 to 160 of a core's 165 (Intel Xeon with AVX-512, one thread). It checks no
bounds: callers keep every offset inside its array, and tests put guard pages around the arrays.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..runtime.jit import device_function, intrinsic
from .register_tile import TILE

MR, VECTOR = TILE.MR, TILE.vector


class A(NamedTuple):
    """A[r, t, k] = data[rows[r] + taps[t] + k stride].

    data: flat. rows, taps: int64 offsets; the length of rows is a multiple of MR, see `offsets`.
    """

    data: Any
    rows: Any
    taps: Any
    stride: Any


class B(NamedTuple):
    """B[t, k, :] = data[p panel_stride + (rows[t] + k) row_stride :][:NR], in panel p.

    data: flat. rows: an int64 row number for each tap.
    """

    data: Any
    rows: Any
    panel_stride: Any
    row_stride: Any


class C(NamedTuple):
    """C[r, :] = data[rows[r] :][:n], and init[i][r, :] = init[i][init_rows[i][r] :][:n].

    data: flat. rows: int64 offsets, as many as A has. init: a tuple of flat arrays, at least one.
    init_rows: a tuple of their int64 offsets.
    """

    data: Any
    rows: Any
    init: Any
    init_rows: Any


def plain_tile(a: A, b: B, c: C, k: int, p: int, r: int, j: int, n: int) -> None:
    """Compute one tile of C in plain loops: MR rows from row r on, n columns from column j on.

    Column j of C is the first column of panel p. Tests compare `_register_tile` with it.
    """
    for row in range(r, r + MR):
        for column in range(n):
            total = 0.0
            for init, rows in zip(c.init, c.init_rows, strict=True):
                total += init[rows[row] + j + column]
            for t in range(len(a.taps)):
                for i in range(k):
                    b_row = p * b.panel_stride + (b.rows[t] + i) * b.row_stride
                    total += a.data[a.rows[row] + a.taps[t] + i * a.stride] * b.data[b_row + column]
            c.data[c.rows[row] + j + column] = total


@intrinsic
def _register_tile(typing, a, b, c, k, p, r, j, n):
    """Compute `plain_tile` in registers. A product and its addition are rounded once (FMA)."""
    kinds: Any = (a, b, c, k, p, r, j, n)
    dtype = kinds[0].types[0].dtype
    bits, lanes = dtype.bitwidth, TILE.lanes(dtype.name)

    def generate(context, builder, signature, values):
        vector, index = ir.VectorType(context.get_value_type(dtype), lanes), ir.IntType(64)
        pointer, mask_type = vector.as_pointer(), ir.VectorType(ir.IntType(1), lanes)
        align, zeros = ir.Constant(ir.IntType(32), bits // 8), ir.Constant(vector, None)

        def llvm(name, result, *arguments):  # one of LLVM's own functions
            kind = ir.FunctionType(result, arguments)
            return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}")

        suffix = f"v{lanes}f{bits}"
        fma = llvm(f"fma.{suffix}", vector, vector, vector, vector)
        load = llvm(f"masked.load.{suffix}.p0", vector, pointer, align.type, mask_type, vector)
        void, name = ir.VoidType(), f"masked.store.{suffix}.p0"
        store = llvm(name, void, vector, pointer, align.type, mask_type)
        soon = [ir.Constant(align.type, value) for value in (1, 3, 1)]  # for writing; keep; data
        prefetch = llvm("prefetch.p0", void, pointer, *[align.type] * 3)

        def unpacked(kind, value):  # the values of a tuple, the structure of an array
            if isinstance(kind, types.BaseTuple):
                inner: Any = kind
                parts = cgutils.unpack_tuple(builder, value)
                return [unpacked(*part) for part in zip(inner.types, parts, strict=True)]
            is_array = isinstance(kind, types.Array)
            return context.make_array(kind)(context, builder, value) if is_array else value

        def at(data, *offsets):
            for offset in offsets:
                data = builder.gep(data, [offset])
            return data

        def offset_of(table, *numbers):
            return builder.load(at(table.data, *numbers))

        def two_vectors(data):  # of a row
            second = at(data, ir.Constant(index, lanes))
            return [builder.bitcast(start, pointer) for start in (data, second)]

        def in_all_lanes(value):
            undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
            one = builder.insert_element(undefined, value, ir.Constant(index, 0))
            first = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, undefined, first)

        (a_data, a_rows, a_taps, a_stride), (b_data, b_rows, b_panel, b_row), c_parts = (
            unpacked(*one) for one in zip(kinds[:3], values[:3], strict=True)
        )
        c_data, c_rows, c_init, c_init_rows = c_parts
        depth, panel, first_row, first_column, columns = values[3:]
        numbers = ir.Constant(ir.VectorType(index, lanes), list(range(lanes)))
        valid = columns, builder.sub(columns, ir.Constant(index, lanes))  # lanes of either vector
        masks = [builder.icmp_signed("<", numbers, in_all_lanes(count)) for count in valid]

        # The addresses of C's rows, prefetched, and of A's.
        row_numbers = [builder.add(first_row, ir.Constant(index, row)) for row in range(MR)]
        c_column = at(c_data.data, first_column)
        c_ends = [two_vectors(at(c_column, offset_of(c_rows, row))) for row in row_numbers]
        for end in itertools.chain(*c_ends):
            builder.call(prefetch, [end, *soon])
        a_starts = [at(a_data.data, offset_of(a_rows, row)) for row in row_numbers]
        b_start = at(b_data.data, builder.mul(panel, b_panel))

        # The accumulators: MR x 2 variables, all of which the compiler keeps in registers.
        tile = []
        for row in row_numbers:
            total = [zeros] * 2
            for init, rows in zip(c_init, c_init_rows, strict=True):
                start = two_vectors(at(init.data, offset_of(rows, row), first_column))
                total = [
                    builder.fadd(sum_, builder.call(load, [place, align, mask, zeros]))
                    for sum_, place, mask in zip(total, start, masks, strict=True)
                ]
            tile += [cgutils.alloca_once_value(builder, sum_) for sum_ in total]

        # For each tap, for each k: a rank-1 update of the tile.
        with cgutils.for_range(builder, a_taps.nitems) as tap:
            offset = offset_of(a_taps, tap.index)
            a_runs = [at(start, offset) for start in a_starts]
            b_run = at(b_start, builder.mul(offset_of(b_rows, tap.index), b_row))
            with cgutils.for_range(builder, depth) as step:
                b_vectors = [
                    builder.load(place, align=bits // 8)
                    for place in two_vectors(at(b_run, builder.mul(step.index, b_row)))
                ]
                offset = builder.mul(step.index, a_stride)
                for row in range(MR):
                    x = in_all_lanes(builder.load(at(a_runs[row], offset)))
                    for total, y in zip(tile[2 * row : 2 * row + 2], b_vectors, strict=True):
                        builder.store(builder.call(fma, [x, y, builder.load(total)]), total)

        for row, ends in enumerate(c_ends):
            for end, total, mask in zip(ends, tile[2 * row : 2 * row + 2], masks, strict=True):
                builder.call(store, [builder.load(total), end, align, mask])
        return context.get_dummy_value()

    return types.void(*kinds), generate


@device_function
def brgemm(a, b, c, k, n, panels):
    """Compute C for all rows of its table, and for the columns of panels (first, last + 1) of B.

    a, b, c: see `A`, `B` and `C`. k: the rows of B for each tap. n: the columns of C. The last
    panel may be wider: it is read in full, but nothing is stored beyond n columns.
    """
    NR = 2 * VECTOR // a.data.itemsize
    for p in range(panels[0], panels[1]):
        for r in range(0, a.rows.size, MR):
            _register_tile(a, b, c, k, p, r, p * NR, min(NR, n - p * NR))
