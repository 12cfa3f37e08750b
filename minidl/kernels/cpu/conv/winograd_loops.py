"""The loops of `winograd.py`: input transform, products, output transform, block by block.

A block is a few rows of 2x2 output tiles. A job is one panel of the filter for one block.

Letters: N pictures, H x W pixels, C input and O output channels; V the transformed input, U the
transformed filter, NR the columns of a panel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..gemm.microkernel import MR, VECTOR, A, B, brgemm
from ..gemm.microkernel import C as C_  # C is a number of channels here
from ..gemm.offsets import job_to_panels, padded_offsets
from ..runtime.arrays import clear, zeros
from ..runtime.jit import device_function
from ..runtime.jobs import parallel_jit

FIRST, SECOND, SIGN, TAP, GROUP = range(5)  # the columns of `Transform.products`


class Axis(NamedTuple):
    """The pairs of outputs along one axis: pair j reads `reach` inputs from stride j + corner on.

    products (products, 5): see `winograd.Transform`. taps: the number of transformed taps.
    """

    products: Any
    taps: Any
    stride: Any
    corner: Any
    reach: Any


class TileStrides(NamedTuple):
    """The places of the outputs: output (r, s) of tile (n, i, j) is at y.flat[origin + n picture +
    i row + j column + r below + s right]."""

    origin: Any
    picture: Any
    row: Any
    column: Any
    below: Any
    right: Any


# --- input transform ------------------------------------------------------------------------------


@device_function
def _add_scaled(a, b, scale, out):
    """Compute out = a + scale b."""
    for k in range(out.size):
        out[k] = a[k] + scale * b[k]


@device_function
def _add_scaled_pixels(line, stride, first, second, scale, out):
    """Compute out (tiles, C): for tile j, line[first + s] + scale line[second + s], s = stride j.

    line (pixels, C).
    """
    for j in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[j, k] = line[j * stride + first, k] + scale * line[j * stride + second, k]


@device_function
def transform_input(x, tiles, down, across, first, last, channels, scratch):
    """Return V (products, tiles, c) = B x B^T of the tile rows first ... last - 1, in scratch.

    x (N, H, W, C); pixels outside the pictures are zero. tiles: (rows, columns) of tiles in a
    picture. channels: (begin, end), the c = end - begin channels to transform. scratch: flat, see
    `winograd._scratch`.
    """
    (_, H, W, C), (begin, end), T = x.shape, channels, x.dtype.type
    c, rows, products = end - begin, last - first, (len(down.products), len(across.products))
    span, left = (tiles[1] - 1) * across.stride + across.reach, across.corner
    line, outside = scratch[: span * c], scratch[span * c :][: W * C]
    V = scratch[span * c + W * C :][: products[0] * products[1] * rows * tiles[1] * c]
    V = V.reshape((products[0] * products[1], rows, tiles[1], c))
    clear(line)
    clear(outside)
    inside = min(max(0, -left), span)  # the pixels of the line that are inside the picture
    ending = max(inside, min(span, W - left))
    run = c if c < C else max(1, ending - inside) * c  # numbers that are adjacent in x
    for r in range(rows):
        n = (first + r) // tiles[0]
        top = (first + r) % tiles[0] * down.stride + down.corner
        for a in range(products[0]):
            # Along the columns: one line of B x.
            one, two = top + down.products[a, FIRST], top + down.products[a, SECOND]
            above = x[n, one].reshape(-1) if 0 <= one < H else outside
            below = x[n, two].reshape(-1) if 0 <= two < H else outside
            for k in range(inside * c, ending * c, run):
                start = (k // c + left) * C + begin
                _add_scaled(above[start : start + run], below[start : start + run],
                            T(down.products[a, SIGN]), line[k : k + run])  # fmt: skip
            # Along that line: (B x) B^T.
            for b in range(products[1]):
                _add_scaled_pixels(line.reshape((span, c)), across.stride,
                                   across.products[b, FIRST], across.products[b, SECOND],
                                   T(across.products[b, SIGN]),
                                   V[a * products[1] + b, r])  # fmt: skip
    return V.reshape((products[0] * products[1], rows * tiles[1], c))


@device_function
def transform_output_gradient(g, first, last, panels):
    """Compute A^T g A of the tile rows first ... last - 1, in panels (panels, rows, W, 9, NR).

    For each tile these are nine sums of its four output gradients, one for each group of products.
    g (2 tile rows, 2 W, O). The four outputs are first copied side by side: loops of a known length
    over arrays at known distances become vectors, and take a third of the time.
    """
    O, (count, height, W, _, _) = g.shape[2], panels.shape
    NR, flat = 2 * VECTOR // g.itemsize, panels.reshape(-1)
    four = zeros(4 * NR, g.dtype)
    for p in range(count):
        used = min(NR, O - p * NR)
        clear(four)
        for r in range(last - first):
            for j in range(W):
                for s in range(4):
                    row, column = 2 * (first + r) + s // 2, 2 * j + s % 2
                    for k in range(used):
                        four[s * NR + k] = g[row, column, p * NR + k]
                to = flat[((p * height + r) * W + j) * 9 * NR :]
                for k in range(NR):
                    a, b, c, d = four[k], four[NR + k], four[2 * NR + k], four[3 * NR + k]
                    to[k] = (a + b) + (c + d)
                    to[NR + k] = a + c
                    to[2 * NR + k] = b + d
                    to[3 * NR + k] = a + b
                    to[4 * NR + k] = a
                    to[5 * NR + k] = b
                    to[6 * NR + k] = c + d
                    to[7 * NR + k] = c
                    to[8 * NR + k] = d


# --- products and output transform ----------------------------------------------------------------


@device_function
def _tap(a, b, down, across):
    """Return the number of the transformed tap of product (a, b)."""
    return down.products[a, TAP] * across.taps + across.products[b, TAP]


@device_function
def multiply_and_transform_output(V, tiles, down, across, panels, run, bias, shared, y, strides,
                                  n_columns, first):  # fmt: skip
    """Compute y = A (U * V) A^T + bias, for the panels in run = (first panel, last panel + 1).

    V (products, tiles, C): the transformed input, from tile row `first` on. panels (panels,
    transformed taps C, NR): U. bias: as wide as all panels. shared (5, tiles, width of all panels):
    scratch for the sums that several outputs share. y: flat. A transform with a single output has
    a single group of products.
    """
    (products, count, C), width, n_across = V.shape, shared.shape[2], len(across.products)
    sums = shared.reshape(5, -1)  # [0] all four outputs, [1] [2] a column, [3] [4] a row of them
    a_rows, sum_rows, one_row = (padded_offsets(count, C), padded_offsets(count, width),
                                 padded_offsets(count, 0))  # fmt: skip
    nothing, y_rows = zeros(width, V.dtype), padded_offsets(count, 0)
    for r in range(len(y_rows)):
        tile = a_rows[r] // C
        row, j = first + tile // tiles[1], tile % tiles[1]
        y_rows[r] = (strides.origin + row // tiles[0] * strides.picture
                     + row % tiles[0] * strides.row + j * strides.column)  # fmt: skip
    taps, b_rows = zeros(products, np.int64), zeros(products, np.int64)
    single = down.products[-1, GROUP] == across.products[-1, GROUP] == 0
    for r in range(1 if single else 3):
        for c in range(1 if single else 3):
            # The products of row group r and column group c.
            found = 0
            for q in range(products):
                i, j = q // n_across, q % n_across
                if down.products[i, GROUP] == r and across.products[j, GROUP] == c:
                    taps[found], b_rows[found] = q * count * C, _tap(i, j, down, across) * C
                    found += 1
            # The sums that they are added to, and where the new sum goes.
            start, start_rows, more, more_rows = nothing, one_row, nothing, one_row
            to, to_rows, n = sums[0], sum_rows, width
            if single:
                start, to, to_rows, n = bias, y, y_rows, n_columns
            elif r == 0 and c == 0:  # all four outputs
                start = bias
            elif r == 0:  # the two outputs of column c
                to = sums[c]
            elif c == 0:  # the two outputs of row r
                start, start_rows, to = sums[0], sum_rows, sums[2 + r]
            else:  # one output
                start, start_rows, more, more_rows = sums[2 + r], sum_rows, sums[c], sum_rows
                to = y[(r - 1) * strides.below + (c - 1) * strides.right :]
                to_rows, n = y_rows, n_columns
            a = A(V.reshape(-1), a_rows, taps[:found], 1)
            b = B(panels.reshape(-1), b_rows, panels[0].size, panels.shape[2])
            brgemm(a, b, C_(to, to_rows, (start, more), (start_rows, more_rows)), C, n, run)


@device_function
def grad_transformed_filter(V, sums, down, across, dU, first, add):
    """Compute dU[tap, first + c], or add to it if `add`, for each transformed tap and channel c.

    It is the sum over the tap's products of V[product, :, c] times the output gradients of the
    product's group. V (products, tiles, channels), sums (panels, tiles, 9, NR): see
    `transform_output_gradient`. dU (transformed taps, C, O).
    """
    NR, flat = sums.shape[3], sums.reshape(-1)
    (_, tiles, channels), O = V.shape, dU.shape[2]
    a_rows, c_rows, one_row = (padded_offsets(channels, 1), padded_offsets(channels, O),
                               padded_offsets(channels, 0))  # fmt: skip
    one, nothing, begun = zeros(1, np.int64), zeros(O, V.dtype), zeros(len(dU), np.int64)
    for i in range(len(down.products)):
        for j in range(len(across.products)):
            tap, product = _tap(i, j, down, across), V[i * len(across.products) + j]
            group = 3 * down.products[i, GROUP] + across.products[j, GROUP]
            c_data = dU[tap, first:].reshape(-1)
            start, start_rows = (c_data, c_rows) if add or begun[tap] else (nothing, one_row)
            begun[tap] = 1
            a = A(product.reshape(-1), a_rows, one, channels)
            b = B(flat[group * NR :], one, sums[0].size, 9 * NR)
            brgemm(a, b, C_(c_data, c_rows, (start,), (start_rows,)), tiles, O, (0, len(sums)))


# --- block by block -------------------------------------------------------------------------------


@parallel_jit
def forward(x, tiles, phases, downs, acrosses, panels, strides, bias, scratch, shared, y, n_columns,
            chunk):  # fmt: skip
    """Compute y from x (N, H, W, C), for the jobs of this chunk.

    phases: the number of phases. Phase k has the axes downs[k] and acrosses[k], the filter
    panels[k] and the outputs strides[k].
    scratch (chunks, numbers): for `transform_input`. shared (chunks, 5, tiles of a block, columns
    of all panels). y: flat. n_columns: O.
    """
    mine, rows, job = scratch[chunk.number], shared.shape[2] // tiles[1], chunk.first
    while job < chunk.last:
        block, run = job_to_panels(job, chunk.last, panels[0].shape[0])
        first, last = block * rows, min(len(x) * tiles[0], (block + 1) * rows)
        for k in range(phases):
            V = transform_input(x, tiles, downs[k], acrosses[k], first, last, (0, x.shape[3]), mine)
            multiply_and_transform_output(V, tiles, downs[k], acrosses[k], panels[k], run, bias,
                                          shared[chunk.number], y, strides[k], n_columns,
                                          first)  # fmt: skip
        job += run[1] - run[0]


@parallel_jit
def grad_w(x, g, tiles, down, across, scratch, all_sums, all_dU, by_blocks, chunk):
    """Compute dU (transformed taps, C, O), the gradient of the transformed filter.

    by_blocks: each chunk sums over its own blocks of tiles into its own copy of dU, and the caller
    adds the copies up. Otherwise each chunk computes its own input channels over all tiles.

    x (N, H, W, C), g (2 tile rows, 2 W, O). scratch (chunks, numbers): for `transform_input`.
    all_sums (chunks, panels, rows of a block, W, 9, NR). all_dU (chunks or 1, transformed
    taps, C, O).
    """
    mine, sums, dU = scratch[chunk.number], all_sums[chunk.number], all_dU[0]
    (count, rows, W, _, NR), tile_rows = sums.shape, len(x) * tiles[0]
    channels, blocks = (0, x.shape[3]), (chunk.first, chunk.last)
    if by_blocks:
        dU = all_dU[chunk.number]
    else:
        channels = chunk.first * MR, min(x.shape[3], chunk.last * MR)
        blocks = 0, (tile_rows + rows - 1) // rows
    for block in range(blocks[0], blocks[1]):
        first, last = block * rows, min(tile_rows, (block + 1) * rows)
        V = transform_input(x, tiles, down, across, first, last, channels, mine)
        transform_output_gradient(g, first, last, sums)
        grad_transformed_filter(V, sums.reshape((count, rows * W, 9, NR)), down, across, dU,
                                channels[0], block > blocks[0])  # fmt: skip
