"""Layers: parameters, and the op that uses them.

A `Module` is anything made of parameters and other modules. Its parameters come in the order in
which they were defined, here and in every process.
"""

from .activations import Flatten, LeakyReLU, ReLU, Sigmoid, Tanh
from .convolution import Conv2D, ConvTranspose2D, Upsample2D, UpsampleConv2D
from .linear import ChannelwiseLinear, Linear
from .module import Module, Sequential
from .normalisation import BatchNorm, Dropout, LeakyReLUBatchNorm

__all__ = [
    "Module", "Sequential",
    "Linear", "ChannelwiseLinear",
    "Conv2D", "ConvTranspose2D", "Upsample2D", "UpsampleConv2D",
    "BatchNorm", "LeakyReLUBatchNorm", "Dropout",
    "Sigmoid", "Tanh", "ReLU", "LeakyReLU", "Flatten",
]  # fmt: skip
