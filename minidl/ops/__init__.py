"""Every differentiable operation: its value and, beside it, one VJP (gradient function) per input.

`g` is always dL/dy, an array of y's shape. VJPs stand in the order of the inputs; one with a name
is named after its input. Arrays are NumPy's or CuPy's, which take the same expressions; `kernels`
has the operations that neither computes well. `moments` and `unbroadcast` return plain arrays.
"""

from .activations import leaky_relu, relu, sigmoid, softplus, tanh
from .arithmetic import (
    absolute,
    add,
    bernoulli_kl,
    divide,
    exp,
    log,
    max,
    mean,
    multiply,
    negative,
    power,
    sqrt,
    squared_distance,
    subtract,
    sum,
    sum_of_squares,
    unbroadcast,
)
from .convolution import conv2d, conv_transpose2d, upsample2d, upsample_conv2d
from .linear import channelwise_linear, dropout, linear, matmul
from .normalisation import batch_norm, moments, normalize
from .shapes import concatenate, index, reshape, transpose

__all__ = [
    "add", "subtract", "multiply", "divide", "negative", "power", "exp", "log", "sqrt", "absolute",
    "bernoulli_kl", "sum", "sum_of_squares", "squared_distance", "mean", "max", "unbroadcast",
    "reshape", "transpose", "index", "concatenate",
    "sigmoid", "tanh", "leaky_relu", "relu", "softplus",
    "matmul", "linear", "channelwise_linear", "dropout",
    "conv2d", "conv_transpose2d", "upsample2d", "upsample_conv2d",
    "batch_norm", "normalize", "moments",
]  # fmt: skip
