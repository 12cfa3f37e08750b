"""What NumPy says badly or slowly, said well: a handful of functions with one name on every device.

`reference.py` tells what each kernel means, in plain NumPy; `cpu` computes it with Numba, `gpu`
with CuPy. Which sibling answers follows from the arrays of the call, never from a setting. All work
in float32 and in float64, and return the type they are given.

A kernel is a pure function, or in place on the arguments that its docstring in `reference.py`
names.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..device import check_same, of
from . import checks, reference

NAMES = [
    name
    for name, value in vars(reference).items()
    if getattr(value, "__module__", "") == reference.__name__ and not name.startswith("_")
]


@functools.cache
def _siblings(device: str) -> ModuleType:
    return importlib.import_module(f".{device}", __name__)


def _dispatch(name: str, types: frozenset[np.dtype] = checks.FLOATS) -> Callable[..., Any]:
    @functools.wraps(getattr(reference, name))
    def kernel(*arguments: Any) -> Any:
        arrays: list[Any] = []
        for x in arguments:
            if isinstance(x, list):
                arrays += x
            elif hasattr(x, "dtype") and not isinstance(x, np.generic):
                arrays.append(x)
        checks.sound(name, arrays, types)
        check_same(name, arrays)
        return getattr(_siblings(of(arrays[0]) if arrays else "cpu"), name)(*arguments)

    return kernel


sigmoid = _dispatch("sigmoid")
sigmoid_grad = _dispatch("sigmoid_grad")
tanh_grad = _dispatch("tanh_grad")
leaky_relu = _dispatch("leaky_relu")
leaky_relu_grad = _dispatch("leaky_relu_grad")
add = _dispatch("add")
squared_distance = _dispatch("squared_distance")
squared_distance_grad = _dispatch("squared_distance_grad")
adam = _dispatch("adam")
matmul = _dispatch("matmul")
fold = _dispatch("fold", checks.FLOATS | {checks.PLACES})
conv2d = _dispatch("conv2d")
conv2d_grad_x = _dispatch("conv2d_grad_x")
conv2d_grad_w = _dispatch("conv2d_grad_w")
upsample_conv2d = _dispatch("upsample_conv2d")
upsample_conv2d_grad_x = _dispatch("upsample_conv2d_grad_x")
upsample_conv2d_grad_w = _dispatch("upsample_conv2d_grad_w")
channel_sum = _dispatch("channel_sum")
moments = _dispatch("moments")
normalize = _dispatch("normalize")
batch_norm_sums = _dispatch("batch_norm_sums")
batch_norm_grad = _dispatch("batch_norm_grad")
