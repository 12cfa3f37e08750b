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

    c[out[r], :] = starts[r, :] + sum over t, k of a[rows[r] + taps[t] + k step] b[t depth + k, :]

A processor multiplies and adds two vectors of 16 numbers in each cycle, but only of factors in
registers: a number read from a serves 2 vectors, and a vector read from b serves ROWS rows. Tables
of offsets say where a row begins (`rows`) and how far apart the runs of a window lie (`taps`), so
that windows are read where they lie in the picture: a forward pass, the gradient of x and that of w
are one routine with other tables.

Written with vectors of LLVM, because Numba's own loops do not keep a tile in registers: 37 to 63
GFLOP/s at best, where this reaches 130 to 160 of a core's 165, and OpenBLAS's product of copied
windows 107 to 125 (Intel Xeon with AVX-512, one thread). Addresses carry no bounds: callers hold
every offset inside of its array, and tests run them against guarded pages.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled
from .tiles import TILE

ROWS = TILE.rows


@intrinsic
def _tile(typing, a, rows, taps, depth, step, b, b_step, c, out, starts, start_rows, m, left, used):
    """One tile: the formula above for the first ROWS rows of the tables, over all taps.

    a, b, c: arrays of one float type, from where offsets count; b's rows are b_step numbers apart.
    rows, taps, out: int64 offsets. starts, start_rows: a tuple of arrays to add up, from column
    `left` on, and one of their offsets, from the m-th on. used: columns of starts and c to touch.
    """
    kinds = (a, rows, taps, depth, step, b, b_step, c, out, starts, start_rows, m, left, used)
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

        def opened(kind, value):  # the arrays in it
            if isinstance(kind, types.UniTuple):
                return [opened(kind.dtype, part) for part in cgutils.unpack_tuple(builder, value)]
            is_array = isinstance(kind, types.Array)
            return context.make_array(kind)(context, builder, value) if is_array else value

        (a_, rows_, taps_, depth_, step_, b_, b_step_, c_, out_, starts_, tables_, m_, left_,
         used_) = (opened(*one) for one in zip(kinds, values, strict=True))  # fmt: skip

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
        a_rows = [at(a_.data, offset_of(rows_, r)) for r in row_numbers]
        tile = []  # ROWS x 2 variables, all of which the compiler keeps in registers
        for r in range(ROWS):
            begin = [zeros] * 2
            for start, places in zip(starts_, tables_, strict=True):
                here = vectors_at(at(start.data, offset_of(places, m_, row_numbers[r]), left_))
                begin = [
                    builder.fadd(total, builder.call(load, [p, align, mask, zeros]))
                    for total, p, mask in zip(begin, here, masks, strict=True)
                ]
            tile += [cgutils.alloca_once_value(builder, one) for one in begin]

        with cgutils.for_range(builder, taps_.nitems) as window:
            tap = builder.load(at(taps_.data, window.index))
            a_runs = [at(row, tap) for row in a_rows]
            b_run = at(b_.data, builder.mul(builder.mul(window.index, depth_), b_step_))
            with cgutils.for_range(builder, depth_) as run:
                factors = vectors_at(at(b_run, builder.mul(run.index, b_step_)))
                factors = [builder.load(p, align=bits // 8) for p in factors]
                place = builder.mul(run.index, step_)
                for r in range(ROWS):
                    x = in_all_lanes(builder.load(at(a_runs[r], place)))
                    for total, factor in zip(tile[2 * r : 2 * r + 2], factors, strict=True):
                        builder.store(builder.call(fma, [x, factor, builder.load(total)]), total)

        for r in range(ROWS):
            ends = vectors_at(at(c_.data, offset_of(out_, row_numbers[r])))
            for p, total, mask in zip(ends, tile[2 * r : 2 * r + 2], masks, strict=True):
                builder.call(store, [builder.load(total), p, align, mask])
        return context.get_dummy_value()

    return types.void(*kinds), generate


# --- around the tile ------------------------------------------------------------------------------


@compiled
def _products(a, rows, taps, depth, step, panels, some, columns, c, out, starts, start_rows):
    """The formula for all rows of the tables, times some = (first, last + 1) of the panels (panels,
    TAPS x DEPTH, wide), of all of whose columns the first `columns` count.

    The tables' length is a multiple of ROWS, filled up with the last row, which is computed again.
    """
    wide, b_step = panels.shape[2], panels.strides[1] // panels.itemsize
    for p in range(some[0], some[1]):
        left, panel = p * wide, panels[p]
        for m in range(0, rows.size, ROWS):
            _tile(a, rows[m:], taps, depth, step, panel, b_step, c[left:], out[m:], starts,
                  start_rows, m, left, min(wide, columns - left))  # type: ignore[call-arg]  # fmt: skip


@compiled
def _copy_padded(x, n, row, column, room):
    """Fill room (rows, columns, C) with x[n] from pixel (row, column) on, and zeros around it."""
    for i in range(room.shape[0]):
        for j in range(room.shape[1]):
            h, v = row + i, column + j
            inside = 0 <= h < x.shape[1] and 0 <= v < x.shape[2]
            for c in range(room.shape[2]):
                room[i, j, c] = x[n, h, v, c] if inside else 0


@compiled
def pack(matrix, panels, first, last):
    """Fill panels first to last - 1 (panels, rows, wide) from matrix (rows, columns), and zeros."""
    wide = panels.shape[2]
    for p in range(first, last):
        used = min(wide, matrix.shape[1] - p * wide)
        for k in range(panels.shape[1]):
            source, row = matrix[k, p * wide : p * wide + used], panels[p, k]
            for q in range(used):
                row[q] = source[q]
            row[used:] = 0


@compiled
def correlate(
    x, room, panels, bias, window, stride, corner, outputs, y, columns, place, band, part
):
    """y = bias + the windows of x times the panels.

    x (N, H, W, C); window: its (rows, columns); corner: where the first one begins, (-top, -left);
    outputs: (P, Q) windows of a picture. Output (n, i, j) goes to y[place @ (1, n, i, j)], y flat.
    room (pictures, rows, columns, C): what a unit of work sees of so many pictures for `band` rows
    of outputs. part: the (first, last + 1) of the jobs to do, the panels of unit 0 before those of
    unit 1 and so on.
    """
    (N, _, _, C), pictures = x.shape, room.shape[0]
    (K, L), (P, Q), (origin, y_picture, y_row, y_column) = window, outputs, place
    room_picture, room_row = room[0].size, room.shape[2] * C
    taps = np.arange(K) * room_row
    length = pictures * band * Q
    rows, out = np.empty(length + ROWS, np.int64), np.empty(length + ROWS, np.int64)
    no_rows = np.zeros(length + ROWS, np.int64)  # the bias is one row for all
    bands, job = (P + band - 1) // band, part[0]
    while job < part[1]:
        u, panel = job // panels.shape[0], job % panels.shape[0]
        some = panel, min(panels.shape[0], panel + part[1] - job)
        n, i, count = u // bands * pictures, u % bands * band, 0
        for g in range(min(pictures, N - n)):
            _copy_padded(x, n + g, i * stride + corner[0], corner[1], room[g])
            for r in range(min(band, P - i)):
                for j in range(Q):
                    rows[count] = g * room_picture + r * stride * room_row + j * stride * C
                    out[count] = origin + (n + g) * y_picture + (i + r) * y_row + j * y_column
                    count += 1
        full = (count + ROWS - 1) // ROWS * ROWS
        rows[count:full], out[count:full] = rows[count - 1], out[count - 1]
        _products(room.reshape(-1), rows[:full], taps, L * C, 1, panels, some, columns, y,
                  out[:full], (bias,), (no_rows[:full],))  # fmt: skip
        job += some[1] - some[0]


@compiled
def correlate_grad_w(x, g, room, panels, window, stride, corner, dw, band, units, some_rows):
    """Add to some_rows = (first, last + 1) of dw (K L C, O) what units = (first, last + 1) give.

    g (N, P, Q, O); panels (panels, pixels of a unit, wide): room for a unit of it; the rest as in
    `correlate`. Here the sum is over the pixels of outputs, and each row of g is a tap.
    """
    N, P, Q, O = g.shape
    C, L, pictures = x.shape[3], window[1], room.shape[0]
    room_row = room.shape[2] * C
    taps = np.empty(pictures * band, np.int64)
    length = some_rows[1] - some_rows[0]
    full = (length + ROWS - 1) // ROWS * ROWS
    rows, out = np.empty(full, np.int64), np.empty(full, np.int64)
    for r in range(full):
        row = some_rows[0] + min(r, length - 1)
        rows[r] = row // (L * C) * room_row + row % (L * C)
        out[r] = row * O
    flat, bands = dw.reshape(-1), (P + band - 1) // band
    for u in range(units[0], units[1]):
        n, i = u // bands * pictures, u % bands * band
        here, lines = min(pictures, N - n), min(band, P - i)
        for p in range(here):
            _copy_padded(x, n + p, i * stride + corner[0], corner[1], room[p])
            for r in range(lines):
                taps[p * lines + r] = p * room[0].size + r * stride * room_row
            first, last = p * lines * Q, (p + 1) * lines * Q
            pack(g[n + p, i : i + lines].reshape(-1, O), panels[:, first:last], 0, panels.shape[0])
        _products(room.reshape(-1), rows, taps[: here * lines], Q, stride * C, panels,
                  (0, panels.shape[0]), O, flat, out, (flat,), (out,))  # fmt: skip


# --- pictures whose pixels were doubled (see upsampling.py) ---------------------------------------


@compiled
def _filled(count, step):
    """Offsets 0, step, ... of `count` rows, filled up to whole tiles."""
    return np.minimum(np.arange((count + ROWS - 1) // ROWS * ROWS), count - 1) * step


@compiled
def products_forward(V, panels, some, bias, sums, y):
    """y (rows, 2, W, 2, O): the nine products of V (9, rows W, C), each in four, two or one of the
    four pixels; of each pixel, the columns in `some` of the panels (9, panels, C, wide).

    bias: as wide as all panels. sums (4, rows W, as wide): room for what pixels share, which is
    V6 U6 + V0 U0 + bias, V3 U3 + V0 U0 + bias, V1 U1 and V2 U2.
    """
    (_, pixels, C), (_, _, W, _, O), width = V.shape, y.shape, sums.shape[2]
    a, s, flat = V.reshape(9, -1), sums.reshape(4, -1), y.reshape(-1)
    rows, out, none = _filled(pixels, C), _filled(pixels, width), _filled(pixels, 0)
    top = (rows // C // W * 2 * W + rows // C % W) * 2 * O
    tap, zero = np.zeros(1, np.int64), np.zeros(width, V.dtype)
    for q, to, start, start_rows in ((0, 0, bias, none), (3, 1, s[0], out), (6, 0, s[0], out),
                                     (1, 2, zero, none), (2, 3, zero, none)):  # fmt: skip
        _products(a[q], rows, tap, C, 1, panels[q], some, width, s[to], out, (start,),
                  (start_rows,))  # fmt: skip
    for below in range(2):
        for odd in range(2):
            q, at = 4 + 3 * below + odd, (2 * W * below + odd) * O
            _products(a[q], rows, tap, C, 1, panels[q], some, O, flat[at:], top,
                      (s[1 - below], s[2 + odd]), (out, out))  # fmt: skip


@compiled
def products_grad_x(Z, panels, some, dx):
    """dx (pixels, C), in the columns of some of the panels (panels, 9 O, wide): all nine of Z."""
    (pixels, C), O = dx.shape, Z.shape[2]
    zero, none = np.zeros(panels.shape[0] * panels.shape[2], Z.dtype), _filled(pixels, 0)
    _products(Z.reshape(-1), _filled(pixels, O), np.arange(9) * (pixels * O), O, 1, panels, some,
              C, dx.reshape(-1), _filled(pixels, C), (zero,), (none,))  # fmt: skip


@compiled
def products_grad_w(V, G, dU, first, add):
    """dU[q, first + c] = or += V[q, :, c] G[q]: (9, C, O), (9, pixels, channels), (panels, pixels,
    9, wide)."""
    (_, pixels, channels), width = V.shape, dU.shape[2]
    rows, out, none = _filled(channels, 1), _filled(channels, width), _filled(channels, 0)
    tap, zero = np.zeros(1, np.int64), np.zeros(width, V.dtype)
    for q in range(9):
        c = dU[q, first:].reshape(-1)
        start, start_rows = (c, out) if add else (zero, none)
        _products(V[q].reshape(-1), rows, tap, pixels, channels, G[:, :, q], (0, G.shape[0]), width,
                  c, out, (start,), (start_rows,))  # fmt: skip
