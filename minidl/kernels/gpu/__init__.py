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
from .normalisation import (
    batch_norm_grad,
    channel_sum,
    channel_sums,
    moments,
    normalize,
    squared_distance,
)
from .patches import lay_patches
from .products import matmul
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
    "lay_patches",
    "matmul",
    "batch_norm_grad",
    "channel_sum",
    "channel_sums",
    "moments",
    "normalize",
    "squared_distance",
]
