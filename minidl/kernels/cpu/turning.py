"""The transpose of a matrix, square by square in registers.

A plain loop reads or writes a number at a time, each on another line of the cache. Here a vector is
read from each of as many rows as it has numbers, and they are exchanged between registers: first
the two large squares beside the diagonal, then those inside of each of the four, and so on.

    a b | c d        a b | i j        a e | i m
    e f | g h   ->   e f | m n   ->   b f | j n
    ----+----        ----+----        ----+----
    i j | k l        c d | k l        c g | k o
    m n | o p        g h | o p        d h | l p

(1280 x 1280) float32 become panels in 0.8 ms instead of 1.7 to 2 (AMD Zen 4, one thread), and a
transposed copy takes at most twice as long as a plain one.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from .board import parallel
from .compiling import inner, intrinsic
from .tiles import TILE

VECTOR, COLUMNS = TILE.vector, 64  # bytes; how many columns are read before the next rows


@intrinsic
def _turn(typing, source, source_row, target, target_row):
    """target[j target_row + i] = source[i source_row + j] for i and j below a vector's lanes.

    source, target: flat arrays of one float type.
    """
    bits, lanes = source.dtype.bitwidth, TILE.lanes(source.dtype.name)

    def generate(context, builder, signature, values):
        vector = ir.VectorType(context.get_value_type(source.dtype), lanes)

        def places(kind, array, step):  # of the first number of each row
            data = context.make_array(kind)(context, builder, array).data
            for i in range(lanes):
                offset = builder.mul(step, ir.Constant(step.type, i))
                yield builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

        def mixed(a, b, chosen):  # numbers of a, and, counted on, of b
            numbers = ir.Constant(ir.VectorType(ir.IntType(32), lanes), chosen)
            return builder.shuffle_vector(a, b, numbers)

        rows = [builder.load(p, align=bits // 8) for p in places(source, *values[:2])]
        side = lanes // 2
        while side:
            upper = [j + lanes - side if j & side else j for j in range(lanes)]
            lower = [j + lanes if j & side else j + side for j in range(lanes)]
            for i in range(lanes):
                if not i & side:
                    pair = rows[i], rows[i + side]
                    rows[i], rows[i + side] = mixed(*pair, upper), mixed(*pair, lower)
            side //= 2
        for row, p in zip(rows, places(target, *values[2:]), strict=True):
            builder.store(row, p, align=bits // 8)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), generate


@inner
def turned(source, rows, columns, target, length):
    """target[c length + r] = source[r, c], for so many (first, last + 1) rows and columns, which
    target (flat) counts from the first on."""
    width, lanes, numbers = source.shape[1], VECTOR // source.itemsize, source.reshape(-1)
    for r in range(rows[0], rows[1], lanes):
        for c in range(columns[0], columns[1], lanes):
            to = target[(c - columns[0]) * length + r - rows[0] :]
            if r + lanes <= rows[1] and c + lanes <= columns[1]:
                _turn(numbers[r * width + c :], width, to, length)
                continue
            for i in range(min(lanes, rows[1] - r)):  # at the edges
                for j in range(min(lanes, columns[1] - c)):
                    to[j * length + i] = source[r + i, c + j]


@parallel
def transpose(source, target, part):
    """Rows first to last - 1 of target (C, R), the transpose of source (R, C)."""
    R = len(source)
    for c in range(part.first, part.last, COLUMNS):
        columns = c, min(part.last, c + COLUMNS)
        turned(source, (0, R), columns, target[c : columns[1]].reshape(-1), R)
