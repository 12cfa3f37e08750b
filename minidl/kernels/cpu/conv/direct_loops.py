"""The loops of direct convolution: the micro-kernel reads windows where they lie in the picture.

This is the indirect convolution algorithm (Dukhan, *The Indirect Convolution Algorithm*, 2019): no
im2col; a table gives the offset of each window. The matrix product itself is `microkernel.brgemm`.

The outputs are divided into blocks: a run of output rows of one picture, or several small pictures.
The pixels that a block needs are copied to scratch, with zeros around the picture. A job is one
panel of the filter for one block. Jobs are numbered block by block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..gemm.microkernel import MR, A, B, brgemm
from ..gemm.microkernel import C as C_  # C is a number of channels here
from ..gemm.offsets import job_to_panels, offsets, padded_offsets
from ..gemm.packing import pack_rows
from ..runtime.arrays import clear, zeros
from ..runtime.jit import device_function
from ..runtime.jobs import parallel_jit


class Windows(NamedTuple):
    """The windows of a convolution.

    size: (K, L). stride: pixels between windows. corner: the row and column of x at which window
    (0, 0) begins, (-top, -left). outputs: (P, Q), the windows of a picture. rows: output rows of a
    block.
    """

    size: Any
    stride: Any
    corner: Any
    outputs: Any
    rows: Any


class Strides(NamedTuple):
    """The places of the outputs: (n, i, j) is at y.flat[origin + n picture + i row + j column]."""

    origin: Any
    picture: Any
    row: Any
    column: Any


@device_function
def _copy_padded(x, n, row, column, out):
    """Copy x[n], from pixel (row, column) on, to out (rows, columns, C); outside x[n] it is 0."""
    (_, H, W, C), columns = x.shape, out.shape[1]
    begin = min(max(0, -column), columns)  # the part of each row that is inside the picture
    end = max(begin, min(columns, W - column))
    for i in range(len(out)):
        line = out[i].reshape(-1)
        if not 0 <= row + i < H:
            clear(line)
            continue
        source = x[n, row + i].reshape(-1)[(column + begin) * C :]
        inside = line[begin * C : end * C]
        for k in range(inside.size):
            inside[k] = source[k]
        clear(line[: begin * C])
        clear(line[end * C :])


@parallel_jit
def direct_conv(x, scratch, panels, bias, windows, y, n_columns, strides, chunk):
    """Compute y = bias + the windows of x times the filter, for the jobs of this chunk.

    x (N, H, W, C). scratch (chunks, pictures, rows, columns, C): the padded pixels of a block.
    panels (panels, K L C, NR): the filter. bias (O,). y: flat, with the given `Strides`.
    n_columns: O.
    """
    padded = scratch[chunk.number]  # (pictures, rows, columns, C)
    (N, _, _, C), pictures = x.shape, padded.shape[0]
    (K, L), (P, Q), rows = windows.size, windows.outputs, windows.rows
    padded_picture, padded_row = padded[0].size, padded.shape[2] * C
    taps, b_rows = offsets(K, K, padded_row), offsets(K, K, L * C)
    length = pictures * rows * Q
    a_rows, y_rows = zeros(length + MR, np.int64), zeros(length + MR, np.int64)
    bias_rows = zeros(length + MR, np.int64)  # the bias is the same row for all
    blocks, job = (P + rows - 1) // rows, chunk.first  # blocks of one picture
    while job < chunk.last:
        # Pass 1: copy the pixels of this block, and note where its windows and outputs are.
        block, run = job_to_panels(job, chunk.last, panels.shape[0])
        n, i, count = block // blocks * pictures, block % blocks * rows, 0
        for m in range(min(pictures, N - n)):
            row, column = i * windows.stride + windows.corner[0], windows.corner[1]
            _copy_padded(x, n + m, row, column, padded[m])
            for r in range(min(rows, P - i)):
                for j in range(Q):
                    window = r * windows.stride * padded_row + j * windows.stride * C
                    a_rows[count] = m * padded_picture + window
                    y_rows[count] = (strides.origin + (n + m) * strides.picture
                                     + (i + r) * strides.row + j * strides.column)  # fmt: skip
                    count += 1
        full = (count + MR - 1) // MR * MR
        for r in range(count, full):
            a_rows[r], y_rows[r] = a_rows[count - 1], y_rows[count - 1]
        # Pass 2: multiply them with the panels of this job and of those after it.
        a = A(padded.reshape(-1), a_rows[:full], taps, 1)
        b = B(panels.reshape(-1), b_rows, panels[0].size, panels.shape[2])
        brgemm(a, b, C_(y, y_rows[:full], (bias,), (bias_rows[:full],)), L * C, n_columns, run)
        job += run[1] - run[0]


@parallel_jit
def direct_grad_w(x, g, scratch, all_panels, windows, all_dw, by_blocks, chunk):
    """Compute dw, the sum over all output pixels of window^T g.

    by_blocks: each chunk sums over its own blocks of pixels into its own copy of dw, and the caller
    adds the copies up. Otherwise each chunk computes its own rows of dw, over all pixels.

    x (N, H, W, C), g (N, P, Q, O). scratch (chunks, pictures, rows, columns, C): the padded pixels
    of a block. all_panels (chunks, panels, pixels of a block, NR): scratch for g, packed. all_dw
    (chunks or 1, K L C, O). In the micro-kernel, a row of outputs is a tap, and its pixels are k.
    """
    padded, panels, dw = scratch[chunk.number], all_panels[chunk.number], all_dw[0]
    (N, P, Q, O), C, L = g.shape, x.shape[3], windows.size[1]
    pictures, rows, stride = padded.shape[0], windows.rows, windows.stride
    dw_rows, blocks = (0, dw.shape[0]), (chunk.first, chunk.last)
    if by_blocks:
        dw = all_dw[chunk.number]
    else:
        dw_rows = min(chunk.first * MR, dw.shape[0]), min(chunk.last * MR, dw.shape[0])
        blocks = 0, (N + pictures - 1) // pictures * ((P + rows - 1) // rows)
    clear(dw[dw_rows[0] : dw_rows[1]].reshape(-1))

    # Row (k, l, c) of dw reads channel c of the pixels of x that tap (k, l) meets.
    padded_row = padded.shape[2] * C
    taps, b_rows = zeros(pictures * rows, np.int64), offsets(pictures * rows, pictures * rows, Q)
    length = dw_rows[1] - dw_rows[0]
    full = (length + MR - 1) // MR * MR
    a_rows, c_rows = zeros(full, np.int64), zeros(full, np.int64)
    for r in range(full):
        row = dw_rows[0] + min(r, length - 1)
        a_rows[r] = row // (L * C) * padded_row + row % (L * C)
        c_rows[r] = row * O

    flat_dw, flat_g, NR = dw.reshape(-1), g.reshape(-1), panels.shape[2]
    in_place = len(panels) * NR == O  # g is already in the order of panels
    panel_stride, row_stride = (NR, O) if in_place else (panels[0].size, NR)
    row_blocks = (P + rows - 1) // rows
    for block in range(blocks[0], blocks[1]):
        n, i = block // row_blocks * pictures, block % row_blocks * rows
        n_pictures, n_rows = min(pictures, N - n), min(rows, P - i)
        for m in range(n_pictures):
            row, column = i * stride + windows.corner[0], windows.corner[1]
            _copy_padded(x, n + m, row, column, padded[m])
            for r in range(n_rows):
                taps[m * n_rows + r] = m * padded[0].size + r * stride * padded_row
            if not in_place:
                pixels = g[n + m, i : i + n_rows].reshape(-1, O)
                pack_rows(pixels, 0, len(pixels), panels, m * n_rows * Q)
        b_data = flat_g[(n * P + i) * Q * O :] if in_place else panels.reshape(-1)
        a = A(padded.reshape(-1), a_rows, taps[: n_pictures * n_rows], stride * C)
        b = B(b_data, b_rows, panel_stride, row_stride)
        brgemm(a, b, C_(flat_dw, c_rows, (flat_dw,), (c_rows,)), Q, O, (0, len(panels)))


# --- few channels ---------------------------------------------------------------------------------


@device_function
def _add_windows(patches, dx, channels, first, windows):
    """Add patches (pixels, K, L C) to the windows of dx (H, W C) where they belong (col2im).

    They are the patches of the outputs first, first + 1, ... of one picture.
    """
    H, WC = dx.shape
    count, K, LC = patches.shape
    for r in range(count):
        i, j = (first + r) // windows.outputs[1], (first + r) % windows.outputs[1]
        column = (j * windows.stride + windows.corner[1]) * channels
        begin = min(max(0, -column), LC)  # the part of each row that is inside the picture
        end = max(begin, min(LC, WC - column))
        for k in range(K):
            h = i * windows.stride + k + windows.corner[0]
            if 0 <= h < H and begin < end:
                inside, target = patches[r, k, begin:end], dx[h, column + begin : column + end]
                for c in range(inside.size):
                    target[c] += inside[c]


@parallel_jit
def scatter(pixels, panels, scratch, dx, channels, windows, chunk):
    """Compute dx (N, H, W C), the sum of the patches of all outputs, the pictures of this chunk.

    pixels (N, P Q, O) times panels (panels, O, NR) gives the patches, K L C numbers for each pixel.
    scratch (chunks, pixels, K, L C): the patches of the pixels that are computed at a time.
    """
    patches = scratch[chunk.number]
    (at_a_time, K, LC), (_, O, NR) = patches.shape, panels.shape
    one, nothing = zeros(1, np.int64), zeros(K * LC, dx.dtype)
    b = B(panels.reshape(-1), one, O * NR, NR)
    for n in range(chunk.first, chunk.last):
        clear(dx[n].reshape(-1))
        for first in range(0, pixels.shape[1], at_a_time):
            count = min(at_a_time, pixels.shape[1] - first)
            a = A(pixels[n, first:].reshape(-1), padded_offsets(count, O), one, 1)
            c = C_(patches.reshape(-1), padded_offsets(count, K * LC), (nothing,),
                   (padded_offsets(count, 0),))  # fmt: skip
            brgemm(a, b, c, O, K * LC, (0, len(panels)))
            _add_windows(patches[:count], dx[n], channels, first, windows)
