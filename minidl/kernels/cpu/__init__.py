"""The kernels for NumPy arrays: loops compiled by Numba, and NumPy's BLAS where that is faster.

How to read this folder. Each wing uses only those above it. `reference.py`, one folder up, says
what every kernel computes.

    runtime/    how a loop is compiled, gets memory and is split over threads
    gemm/       register_tile, microkernel: one tile of a product, in registers
                offsets, transpose, pack_filter, packing, prepacked: what the micro-kernel reads
                macrokernel, strassen, gemm, blas, blas_gemm, choice: products of matrices
    conv/       direct_loops, direct, flipped: windows read where they lie
                filter_transform, winograd_loops, winograd, winograd_stride2: fewer products
    *.py        the kernels, each choosing its algorithm; tuning.py has the numbers that decide

A plain convolution takes seven files: register_tile, microkernel, offsets, pack_filter,
direct_loops, direct, convolution. docs/kernels-cpu.md has a glossary with the literature.
"""

from .convolution import conv2d, conv2d_grad_w, conv2d_grad_x
from .elementwise import (
    adam,
    add,
    leaky_relu,
    leaky_relu_grad,
    sigmoid,
    sigmoid_grad,
    squared_distance_grad,
    tanh_grad,
)
from .matrix import matmul
from .normalisation import (
    batch_norm_grad,
    batch_norm_sums,
    channel_sum,
    moments,
    normalize,
    squared_distance,
)
from .patches import fold
from .upsampling import upsample_conv2d, upsample_conv2d_grad_w, upsample_conv2d_grad_x

__all__ = [
    "adam",
    "add",
    "leaky_relu",
    "leaky_relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "squared_distance_grad",
    "tanh_grad",
    "conv2d",
    "conv2d_grad_w",
    "conv2d_grad_x",
    "upsample_conv2d",
    "upsample_conv2d_grad_w",
    "upsample_conv2d_grad_x",
    "fold",
    "matmul",
    "batch_norm_grad",
    "channel_sum",
    "batch_norm_sums",
    "moments",
    "normalize",
    "squared_distance",
]
