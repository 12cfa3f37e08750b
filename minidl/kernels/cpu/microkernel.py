"""The innermost loop of every convolution: a tile of outputs that stays in registers.

                         b, a panel of the factors
                         +------------------------+
                       k | lanes       | lanes    |   TAPS x DEPTH rows, packed
                         +------------------------+
        a                          x
     +----+              +------------------------+
     | k  | row 0   ->   | row 0, kept in 2 vectors of registers
     | k  | row 1   ->   | row 1                  |   ROWS x 2 accumulators
     | k  |  ...    ->   |  ...                   |
     +----+              +------------------------+

    c[out[r], :] = starts[r, :] + sum over t, k of a[rows[r] + taps[t] + k step] b[places[t] + k, :]

A processor multiplies and adds two vectors of 16 numbers in each cycle, but only of factors in
registers: a number read from a serves 2 vectors, and a vector read from b serves ROWS rows. Tables
of offsets say where a row begins (`rows`), how far apart the runs of a window lie (`taps`) and in
which rows of b their factors are (`places`), so that windows are read where they lie in the
picture: a forward pass, the gradient of x and that of w are one routine with other tables. Where
the tile's results will go is fetched into the cache while it is computed: 3 % of the time for sums
of 256 terms, 6 % for 128 (AMD Zen 4).

Written with vectors of LLVM, because Numba's own loops do not keep a tile in registers: 37 to 63
GFLOP/s at best, where this reaches 130 to 160 of a core's 165, and OpenBLAS's product of copied
windows 107 to 125 (Intel Xeon with AVX-512, one thread). Addresses carry no bounds: callers hold
every offset inside of its array, and tests run them against guarded pages.
"""

from __future__ import annotations

import itertools

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .compiling import inner, intrinsic
from .tiles import TILE

ROWS, VECTOR = TILE.rows, TILE.vector


@intrinsic
def _tile(typing, a, rows, taps, depth, step, b, places, b_step, c, out, starts, start_rows, m,
          left, used):  # fmt: skip
    """One tile: the formula above for the first ROWS rows of the tables, over all taps.

    a, b, c: arrays of one float type, from where offsets count; b's rows are b_step numbers apart.
    rows, taps, places, out: int64 offsets. starts, start_rows: a tuple of arrays to add up, from
    column `left` on, and one of their offsets, from the m-th on. used: columns of starts and c to
    touch.
    """
    kinds = (a, rows, taps, depth, step, b, places, b_step, c, out, starts, start_rows, m, left,
             used)  # fmt: skip
    bits, lanes = a.dtype.bitwidth, TILE.lanes(a.dtype.name)

    def generate(context, builder, signature, values):
        number = context.get_value_type(a.dtype)
        vector, index = ir.VectorType(number, lanes), ir.IntType(64)
        pointer, mask_type = vector.as_pointer(), ir.VectorType(ir.IntType(1), lanes)
        align, zeros = ir.Constant(ir.IntType(32), bits // 8), ir.Constant(vector, None)

        def llvm(name, result, *arguments):  # one of LLVM's own functions
            kind = ir.FunctionType(result, arguments)
            return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}")

        suffix = f"v{lanes}f{bits}"
        fma = llvm(f"fma.{suffix}", vector, vector, vector, vector)
        load = llvm(f"masked.load.{suffix}.p0", vector, pointer, align.type, mask_type, vector)
        none, name = ir.VoidType(), f"masked.store.{suffix}.p0"
        store = llvm(name, none, vector, pointer, align.type, mask_type)
        to_be_written = [ir.Constant(align.type, n) for n in (1, 3, 1)]  # soon; data, not code
        prefetch = llvm("prefetch.p0", none, pointer, *[align.type] * 3)

        def opened(kind, value):  # the arrays in it
            if isinstance(kind, types.UniTuple):
                return [opened(kind.dtype, part) for part in cgutils.unpack_tuple(builder, value)]
            is_array = isinstance(kind, types.Array)
            return context.make_array(kind)(context, builder, value) if is_array else value

        (a_, rows_, taps_, depth_, step_, b_, places_, b_step_, c_, out_, starts_, tables_, m_,
         left_, used_) = (opened(*one) for one in zip(kinds, values, strict=True))  # fmt: skip

        def at(data, *offsets):
            for offset in offsets:
                data = builder.gep(data, [offset])
            return data

        def offset_of(table, *r):
            return builder.load(at(table.data, *r))

        def vectors_at(data):  # the two of a row
            second = at(data, ir.Constant(index, lanes))
            return [builder.bitcast(p, pointer) for p in (data, second)]

        def in_all_lanes(value):
            none = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
            one = builder.insert_element(none, value, ir.Constant(index, 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, none, zeros)

        numbers = ir.Constant(ir.VectorType(index, lanes), list(range(lanes)))
        counts = used_, builder.sub(used_, ir.Constant(index, lanes))  # of lanes that count
        masks = [builder.icmp_signed("<", numbers, in_all_lanes(n)) for n in counts]

        row_numbers = [ir.Constant(index, r) for r in range(ROWS)]
        ends = [vectors_at(at(c_.data, offset_of(out_, r))) for r in row_numbers]
        for p in itertools.chain(*ends):
            builder.call(prefetch, [p, *to_be_written])
        a_rows = [at(a_.data, offset_of(rows_, r)) for r in row_numbers]
        tile = []  # ROWS x 2 variables, all of which the compiler keeps in registers
        for r in range(ROWS):
            begin = [zeros] * 2
            for start, table in zip(starts_, tables_, strict=True):
                here = vectors_at(at(start.data, offset_of(table, m_, row_numbers[r]), left_))
                begin = [
                    builder.fadd(total, builder.call(load, [p, align, mask, zeros]))
                    for total, p, mask in zip(begin, here, masks, strict=True)
                ]
            tile += [cgutils.alloca_once_value(builder, one) for one in begin]

        with cgutils.for_range(builder, taps_.nitems) as window:
            tap = offset_of(taps_, window.index)
            a_runs = [at(row, tap) for row in a_rows]
            b_run = at(b_.data, builder.mul(offset_of(places_, window.index), b_step_))
            with cgutils.for_range(builder, depth_) as run:
                factors = vectors_at(at(b_run, builder.mul(run.index, b_step_)))
                factors = [builder.load(p, align=bits // 8) for p in factors]
                place = builder.mul(run.index, step_)
                for r in range(ROWS):
                    x = in_all_lanes(builder.load(at(a_runs[r], place)))
                    for total, factor in zip(tile[2 * r : 2 * r + 2], factors, strict=True):
                        builder.store(builder.call(fma, [x, factor, builder.load(total)]), total)

        for r in range(ROWS):
            for p, total, mask in zip(ends[r], tile[2 * r : 2 * r + 2], masks, strict=True):
                builder.call(store, [builder.load(total), p, align, mask])
        return context.get_dummy_value()

    return types.void(*kinds), generate


@inner
def products(a, rows, taps, depth, step, b, places, apart, some, columns, c, out, starts,
             start_rows):  # fmt: skip
    """The formula for all rows of the tables, times some = (first, last + 1) of the panels in b, of
    all of whose columns the first `columns` count.

    a, b, c are flat. apart: how far panels are, and the rows of one. The tables' length is a
    multiple of ROWS, filled up with the last row, which is computed again.
    """
    wide = 2 * VECTOR // b.itemsize
    for p in range(some[0], some[1]):
        left, panel = p * wide, b[p * apart[0] :]
        for m in range(0, rows.size, ROWS):
            _tile(a, rows[m:], taps, depth, step, panel, places, apart[1], c[left:], out[m:],
                  starts, start_rows, m, left, min(wide, columns - left))  # fmt: skip
