"""Direct convolution: blocks of work, their scratch, and the loops split over threads."""

from __future__ import annotations

import numpy as np

from .. import tuning
from ..gemm.pack_filter import pack_filter, panels_of
from ..gemm.register_tile import TILE
from ..runtime import buffer_pool, threadpool
from .direct_loops import Strides, Windows, direct_conv, direct_grad_w, scatter


class WorkBlock:
    """The division of a convolution's outputs into blocks of work.

    A block is a run of output rows of one picture, or all rows of several small pictures.
    pictures, rows: the pictures of a block, and the output rows of each. count: the number of
    blocks. pixels: the number of output pixels of a block.
    """

    def __init__(
        self, x: np.ndarray, outputs: tuple[int, int], kernel_size: tuple[int, int], stride: int
    ) -> None:
        (N, _, _, C), (P, Q), (K, L) = x.shape, outputs, kernel_size
        columns = (Q - 1) * stride + L

        def padded_size(rows: int) -> int:  # the size of the padded input of `rows` output rows
            return ((rows - 1) * stride + K) * columns * C

        self.pictures, self.rows = 1, min(P, -(-tuning.DIRECT_MIN_PIXELS // Q))
        while self.rows > 1 and padded_size(self.rows) > tuning.DIRECT_MAX_SCRATCH:
            self.rows = -(-self.rows // 2)
        if self.rows == P:
            fitting = tuning.DIRECT_MAX_SCRATCH // max(1, padded_size(P))
            self.pictures = max(1, min(tuning.DIRECT_MIN_PIXELS // (P * Q), fitting))
        self.count = -(-N // self.pictures) * -(-P // self.rows)
        self.pixels = self.pictures * self.rows * Q
        self._shape = self.pictures, (self.rows - 1) * stride + K, columns, C
        self._dtype = x.dtype

    def scratch(self, chunks: int) -> np.ndarray:
        """Return (chunks, pictures, rows, columns, C): each chunk's padded input of one block."""
        return buffer_pool.empty((chunks, *self._shape), self._dtype)


def pack(w: np.ndarray, down: range, across: range, *, transposed: bool = False) -> np.ndarray:
    """Pack a filter: w (K, L, C, O) -> panels (panels, len(down) len(across) C, NR).

    down, across: the taps to pack along either axis. transposed: exchange input and output
    channels.
    """
    return panels_of(pack_filter, w, np.array(down), np.array(across), transposed=transposed)


def convolve(
    x: np.ndarray,
    panels: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    *,
    kernel_size: tuple[int, int],
    stride: int,
    corner: tuple[int, int],
    outputs: tuple[int, int],
    strides: Strides,
) -> None:
    """Compute y from x (N, H, W, C): `direct_conv`, split over threads.

    panels: the filter, see `pack`. bias (O,). corner, outputs: see `Windows`. strides: the places
    of the outputs in y, see `Strides`.
    """
    block, columns = WorkBlock(x, outputs, kernel_size, stride), y.shape[-1]
    windows = Windows(kernel_size, stride, corner, outputs, block.rows)
    jobs, work = block.count * len(panels), block.pixels * panels[0].size
    chunks = threadpool.chunk_count(jobs, grain=-(-tuning.MIN_MULTIPLIES // max(1, work)))
    threadpool.parallel_for(direct_conv, jobs, chunks, x, block.scratch(chunks), panels, bias,
                            windows, y.reshape(-1), columns, strides)  # fmt: skip


def grad_w(
    x: np.ndarray,
    g: np.ndarray,
    kernel_size: tuple[int, int],
    stride: int,
    corner: tuple[int, int],
) -> np.ndarray:
    """Return dw (K, L, C, O), from x (N, H, W, C) and g (N, P, Q, O), both C-contiguous."""
    (N, P, Q, O), (K, L), C = g.shape, kernel_size, x.shape[3]
    rows, block = K * L * C, WorkBlock(x, (P, Q), kernel_size, stride)
    by_blocks = block.count > 1 and rows * O <= tuning.MAX_PRIVATE_GRADIENT
    if by_blocks:
        length, work = block.count, block.pixels * rows * O
    else:
        length, work = -(-rows // TILE.MR), N * P * Q * O * TILE.MR
    chunks = threadpool.chunk_count(length, grain=-(-tuning.MIN_MULTIPLIES // max(1, work)))
    dw = buffer_pool.empty((chunks if by_blocks else 1, rows, O), x.dtype)
    NR = TILE.NR(x.dtype)
    panels = buffer_pool.empty((chunks, -(-O // NR), block.pixels, NR), x.dtype)
    windows = Windows(kernel_size, stride, corner, (P, Q), block.rows)
    threadpool.parallel_for(direct_grad_w, length, chunks, x, g, block.scratch(chunks), panels,
                            windows, dw, by_blocks)  # fmt: skip
    for copy in dw[1:]:
        dw[0] += copy
    return dw[0].reshape(K, L, C, O)


def scatter_patches(
    g: np.ndarray,
    w: np.ndarray,
    size: tuple[int, int],
    stride: int,
    corner: tuple[int, int],
) -> np.ndarray:
    """Return dx (N, *size, C), from g (N, P, Q, O) and w (K, L, C, O), for few channels C.

    One matrix product computes a patch (K, L, C) for each output pixel. The patches are then added
    to dx where their windows lie (col2im).
    """
    (N, P, Q, O), (K, L, C, _) = g.shape, w.shape
    dx = buffer_pool.empty((N, size[0], size[1] * C), g.dtype)
    pixels = np.ascontiguousarray(g).reshape(N, P * Q, O)
    taps = buffer_pool.writable_contiguous(w).reshape(1, 1, -1, O)
    panels = pack(taps, range(1), range(1), transposed=True)
    at_a_time = min(max(1, tuning.DIRECT_MAX_SCRATCH // (K * L * C)), P * Q)
    work = P * Q * O * K * L * C
    chunks = threadpool.chunk_count(N, grain=-(-tuning.MIN_MULTIPLIES // max(1, work)))
    scratch = buffer_pool.empty((chunks, at_a_time, K, L * C), g.dtype)
    windows = Windows((K, L), stride, corner, (P, Q), P)
    threadpool.parallel_for(scatter, N, chunks, pixels, panels, scratch, dx, C, windows)
    return dx.reshape(N, *size, C)
