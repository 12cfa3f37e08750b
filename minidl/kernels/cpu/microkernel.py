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

    c[out[r], :] = start[r, :] + sum over t, k of a[rows[r] + taps[t] + k step] b[t depth + k, :]

A processor multiplies and adds two vectors of 16 numbers in each cycle, but only if the factors are
in registers: each number read from a serves 2 vectors, and each vector read from b all ROWS rows.
Where a row begins (`rows`) and how far apart the runs of a window lie (`taps`) are tables of
offsets, so that windows are read where they lie in the picture and never copied side by side: a
forward pass, the gradient of x and that of w are one routine with other tables.

Written with vectors of LLVM, because Numba's own loops do not keep a tile in registers: 37 to 63
GFLOP/s at best, where this reaches 130 to 160 of a core's 165, and OpenBLAS's product of copied
windows 107 to 125 (Intel Xeon with AVX-512, one thread). Addresses carry no bounds: callers hold
every offset inside of its array, and tests run them against guarded pages.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled


@dataclass(frozen=True)
class Tile:
    """What fits the registers: rows x 2 vectors of so many bytes, with 3 registers to spare."""

    rows: int
    vector: int

    def lanes(self, dtype: Any) -> int:
        """Numbers of a type in a vector."""
        return self.vector // np.dtype(dtype).itemsize

    def columns(self, dtype: Any) -> int:
        """Numbers in a row of a tile, and of a panel."""
        return 2 * self.lanes(dtype)


TILES = {"avx512": Tile(8, 64), "avx2": Tile(6, 32), "plain": Tile(6, 16)}


def _choose() -> Tile:
    """The tile for this processor, or the one that MINIDL_SIMD names."""
    wanted = os.environ.get("MINIDL_SIMD", "")
    if wanted:
        if wanted not in TILES:
            raise ValueError(f"MINIDL_SIMD is {wanted!r}; expected one of {', '.join(TILES)}")
        return TILES[wanted]
    has = binding.get_host_cpu_features()
    name = "avx512" if has.get("avx512f") else "avx2" if has.get("avx2") and has.get("fma") else ""
    return TILES[name or "plain"]


TILE = _choose()
ROWS, VECTOR = TILE.rows, TILE.vector


def _emit(typing, a, rows, taps, depth, step, b, b_step, c, out, start, start_rows):
    """One tile: the formula above for the first ROWS rows of the tables, over all taps.

    a, b, c, start: flat arrays of one float type, from where offsets count; b's rows are b_step
    numbers apart. rows, taps, out, start_rows: int64 offsets.
    """
    kinds = (a, rows, taps, depth, step, b, b_step, c, out, start, start_rows)
    bits, lanes = a.dtype.bitwidth, TILE.lanes(a.dtype.name)

    def generate(context, builder, signature, values):
        number = context.get_value_type(a.dtype)
        vector, index = ir.VectorType(number, lanes), ir.IntType(64)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{lanes}f{bits}"
        )
        arrays = [
            context.make_array(kind)(context, builder, value) if isinstance(kind, types.Array)
            else value
            for kind, value in zip(kinds, values, strict=True)
        ]  # fmt: skip
        a_, rows_, taps_, depth_, step_, b_, b_step_, c_, out_, start_, start_rows_ = arrays

        def at(data, *offsets):
            for offset in offsets:
                data = builder.gep(data, [offset])
            return data

        def offset_of(table, r):
            return builder.load(at(table.data, ir.Constant(index, r)))

        def vectors_at(data):  # the two of a row
            second = at(data, ir.Constant(index, lanes))
            return [builder.bitcast(p, vector.as_pointer()) for p in (data, second)]

        def in_all_lanes(value):
            none = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(none, value, ir.Constant(index, 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, none, zeros)

        a_rows = [at(a_.data, offset_of(rows_, r)) for r in range(ROWS)]
        tile = []  # ROWS x 2 variables, all of which the compiler keeps in registers
        for r in range(ROWS):
            for p in vectors_at(at(start_.data, offset_of(start_rows_, r))):
                tile.append(cgutils.alloca_once_value(builder, builder.load(p, align=bits // 8)))

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
            pair = vectors_at(at(c_.data, offset_of(out_, r)))
            for p, total in zip(pair, tile[2 * r : 2 * r + 2], strict=True):
                builder.store(builder.load(total), p, align=bits // 8)
        return context.get_dummy_value()

    return types.void(*kinds), generate


_tile: Any = intrinsic(_emit)


# --- around the tile ------------------------------------------------------------------------------


@compiled
def _products(a, rows, taps, depth, step, panels, some, columns, c, out, start, start_rows):
    """The formula for all rows of the tables, times some = (first, last + 1) of the panels (panels,
    TAPS x DEPTH, wide), of all of whose columns the first `columns` count.

    The tables' length is a multiple of ROWS, filled up with the last row: to compute one twice does
    no harm.
    """
    wide = panels.shape[2]
    spare, within = np.zeros(ROWS * wide, a.dtype), np.arange(ROWS) * wide
    for p in range(some[0], some[1]):
        panel, left = panels[p].reshape(-1), p * wide
        used = min(wide, columns - left)
        for m in range(0, rows.size, ROWS):
            if used == wide:
                _tile(a, rows[m:], taps, depth, step, panel, wide, c[left:], out[m:], start[left:],
                      start_rows[m:])  # fmt: skip
                continue
            for r in range(ROWS):  # the columns that there are not would be another row's
                for q in range(used):
                    spare[r * wide + q] = start[start_rows[m + r] + left + q]
            _tile(a, rows[m:], taps, depth, step, panel, wide, spare, within, spare, within)
            for r in range(ROWS):
                for q in range(used):
                    c[out[m + r] + left + q] = spare[r * wide + q]


@compiled
def _copy_padded(x, n, row, column, room):
    """Fill room (rows, columns, C) with x[n] from pixel (row, column) on, and zeros around it."""
    height, width = x.shape[1:3]
    for i in range(room.shape[0]):
        h = row + i
        if h < 0 or h >= height:
            room[i] = 0
            continue
        for j in range(room.shape[1]):
            v = column + j
            if v < 0 or v >= width:
                for c in range(room.shape[2]):
                    room[i, j, c] = 0
            else:
                for c in range(room.shape[2]):
                    room[i, j, c] = x[n, h, v, c]


@compiled
def pack(matrix, panels, first, last):
    """Cut matrix (rows, columns) into panels (panels, rows, wide), zeros beyond the last column:
    the panels first to last - 1."""
    for p in range(first, last):
        for k in range(panels.shape[1]):
            for q in range(panels.shape[2]):
                column = p * panels.shape[2] + q
                panels[p, k, q] = matrix[k, column] if column < matrix.shape[1] else 0


@compiled
def pack_mirrored(w, tap, stride, panels, first, last):
    """Of a window w (K, L, C, O), every stride-th tap from `tap` on, in mirrored order and with
    inputs and outputs exchanged: panels first to last - 1 of (panels, taps O, wide)."""
    K, L, C, O = w.shape
    rows, columns = (K - tap[0] + stride - 1) // stride, (L - tap[1] + stride - 1) // stride
    for p in range(first, last):
        for t in range(rows * columns):
            i = tap[0] + stride * (rows - 1 - t // columns)
            j = tap[1] + stride * (columns - 1 - t % columns)
            for begin in range(0, O, 64):  # so few rows of the panel stay in the nearest cache
                end = min(O, begin + 64)
                for q in range(panels.shape[2]):
                    c = p * panels.shape[2] + q
                    for o in range(begin, end):
                        panels[p, t * O + o, q] = w[i, j, c, o] if c < C else 0


@compiled
def correlate(x, panels, bias, window, stride, corner, outputs, y, columns, place, unit, part):
    """y = bias + the windows of x times the panels.

    x (N, H, W, C); window: its (rows, columns); corner: where the first one begins, (-top, -left);
    outputs: (P, Q) windows of a picture. Output (n, i, j) goes to y[place @ (1, n, i, j)], y flat.
    unit: (pictures, rows of outputs) taken at a time. part: the (first, last + 1) of the jobs to
    do, the panels of unit 0 before those of unit 1 and so on.
    """
    N, _, _, C = x.shape
    (K, L), (P, Q), (pictures, band) = window, outputs, unit
    origin, y_picture, y_row, y_column = place
    room = np.empty((pictures, (band - 1) * stride + K, (Q - 1) * stride + L, C), x.dtype)
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
                  out[:full], bias, no_rows[:full])  # fmt: skip
        job += some[1] - some[0]


@compiled
def correlate_grad_w(x, g, window, stride, corner, dw, unit, units, some_rows):
    """Add to some_rows = (first, last + 1) of dw (K L C, O) what units = (first, last + 1) give.

    g (N, P, Q, O); the rest as in `correlate`. Here the sum is over the pixels of outputs, and each
    row of g is a tap.
    """
    N, P, Q, O = g.shape
    C, (K, L), (pictures, band) = x.shape[3], window, unit
    wide = 2 * VECTOR // x.itemsize
    room = np.empty((pictures, (band - 1) * stride + K, (Q - 1) * stride + L, C), x.dtype)
    room_row = room.shape[2] * C
    panels = np.empty(((O + wide - 1) // wide, pictures * band * Q, wide), x.dtype)
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
                  (0, panels.shape[0]), O, flat, out, flat, out)  # fmt: skip
