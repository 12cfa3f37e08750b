"""minidl: a small deep-learning library that can be read from end to end.

from minidl import Tensor, gradients, nn, ops, losses, optim
"""

from . import checkpoint, device, losses, nn, ops, optim, random
from .lift import op
from .tensor import Tensor, gradients, no_grad

__version__ = "0.1.0"
__all__ = [
    "Tensor", "checkpoint", "device", "gradients", "losses", "nn", "no_grad", "op", "ops", "optim",
    "random",
]  # fmt: skip
