"""The kernels for NumPy arrays: loops compiled by Numba, and NumPy's BLAS where that is faster.

`reference.py`, one folder up, says what every kernel computes. Each group of files uses only the
groups above it.

    tuning.py   the numbers that choose algorithms, block sizes and threads
    runtime/    jit, arrays; buffer_pool: a caching allocator; jobs: the chunks of a loop, claimed
                without a lock; threadpool: the threads, and the function `parallel_for`
    gemm/       register_tile, microkernel: MR x NR outputs in registers; `brgemm`
                offsets, transpose, pack_filter, packing, prepacked: the micro-kernel's operands
                macrokernel, strassen, gemm, blas, blas_gemm, choice: products of matrices
    conv/       direct_loops, direct, flipped: convolution as indirect GEMM, without im2col
                filter_transform, winograd_loops, winograd, winograd_stride2: fewer products
    *.py        the kernels; each chooses its algorithm

An ordinary convolution is computed in seven files: register_tile, microkernel, offsets,
pack_filter, direct_loops, direct, convolution. docs/kernels-cpu.md names the functions of other
files that these call, and has a glossary with the literature.
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
