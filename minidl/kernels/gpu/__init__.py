"""The kernels for CuPy arrays, in CUDA C++: a .cu file with the kernels of each subject, and a
Python file beside it that launches them."""

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
from .gemm import matmul
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
