"""What NumPy says badly or slowly, said well: a handful of functions with one name on every device.

`reference.py` tells what each kernel means, in plain NumPy; `cpu.py` computes it with Numba,
`gpu.py` with CuPy. Which sibling answers follows from the arrays of the call, never from a
setting. All work in float32 and in float64, and return the type they are given.

A kernel is a pure function, or in place on the arguments that its docstring in `reference.py`
names.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from ..device import check_same, of
from . import reference

NAMES = [
    name
    for name, value in vars(reference).items()
    if callable(value) and getattr(value, "__module__", "") == reference.__name__
]


def _dispatch(name: str) -> Callable[..., Any]:
    @functools.wraps(getattr(reference, name))
    def kernel(*arguments: Any) -> Any:
        check_same(name, arguments)
        sibling = importlib.import_module(f".{of(arguments[0])}", __name__)
        return getattr(sibling, name)(*arguments)

    return kernel


sigmoid = _dispatch("sigmoid")
sigmoid_grad = _dispatch("sigmoid_grad")
tanh_grad = _dispatch("tanh_grad")
leaky_relu = _dispatch("leaky_relu")
leaky_relu_grad = _dispatch("leaky_relu_grad")
adam = _dispatch("adam")
