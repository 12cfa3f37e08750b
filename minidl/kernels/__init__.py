"""The kernels: the functions that NumPy lacks or computes slowly, under one name for every device.

`reference.py` defines each kernel in plain NumPy, with the shapes of its arguments. `cpu` computes
it with Numba, `gpu` with CuPy. The arrays of a call decide which of them runs; a call on the CPU
runs `reference.py` itself if Numba cannot be imported or the environment variable MINIDL_KERNELS
is "reference". Kernels take float32 or float64 and return the type that they are given.

A kernel is a pure function, unless its docstring in `reference.py` names arguments that it changes
in place.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from ..device import check_same, of
from . import checks, reference

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

NAMES = [
    name
    for name, value in vars(reference).items()
    if getattr(value, "__module__", "") == reference.__name__ and not name.startswith("_")
]


@functools.cache
def implementation(device: str) -> ModuleType:
    """Return the module whose kernels run on "cpu" or "gpu": `cpu`, `gpu` or `reference`.

    Raises ValueError if MINIDL_KERNELS has another value than "numba" or "reference".
    """
    if device == "gpu":
        from . import gpu

        return gpu
    wanted = os.environ.get("MINIDL_KERNELS") or "numba"
    if wanted not in ("numba", "reference"):
        raise ValueError(f"MINIDL_KERNELS is {wanted!r}, expected numba or reference")
    if wanted == "reference":
        return reference
    try:
        import numba  # noqa: F401
    except (ImportError, OSError, SystemError) as error:  # or it does not know this Python
        print(
            f"minidl: Numba cannot be imported ({error}): computing with NumPy alone, slowly",
            file=sys.stderr,
        )
        return reference
    from . import cpu

    return cpu


def _dispatch(meaning: Kernel, types: frozenset[np.dtype] = checks.FLOATS) -> Kernel:
    """Return the kernel that `meaning` defines, run by the implementation for its arrays' device.

    Raises ValueError for arrays of other types, and DeviceError for arrays of two devices.
    """
    name = meaning.__name__

    @functools.wraps(meaning)
    def kernel(*arguments: Any) -> Any:
        arrays: list[Any] = []
        for x in arguments:
            if isinstance(x, list):
                arrays += x
            elif hasattr(x, "dtype") and not isinstance(x, np.generic):
                arrays.append(x)
        checks.sound(name, arrays, types)
        check_same(name, arrays)
        return getattr(implementation(of(arrays[0]) if arrays else "cpu"), name)(*arguments)

    return kernel  # type: ignore[return-value]


sigmoid = _dispatch(reference.sigmoid)
sigmoid_grad = _dispatch(reference.sigmoid_grad)
tanh_grad = _dispatch(reference.tanh_grad)
leaky_relu = _dispatch(reference.leaky_relu)
leaky_relu_grad = _dispatch(reference.leaky_relu_grad)
add = _dispatch(reference.add)
squared_distance = _dispatch(reference.squared_distance)
squared_distance_grad = _dispatch(reference.squared_distance_grad)
adam = _dispatch(reference.adam)
matmul = _dispatch(reference.matmul)
fold = _dispatch(reference.fold, checks.FLOATS | {checks.PLACES})
conv2d = _dispatch(reference.conv2d)
conv2d_grad_x = _dispatch(reference.conv2d_grad_x)
conv2d_grad_w = _dispatch(reference.conv2d_grad_w)
upsample_conv2d = _dispatch(reference.upsample_conv2d)
upsample_conv2d_grad_x = _dispatch(reference.upsample_conv2d_grad_x)
upsample_conv2d_grad_w = _dispatch(reference.upsample_conv2d_grad_w)
channel_sum = _dispatch(reference.channel_sum)
moments = _dispatch(reference.moments)
normalize = _dispatch(reference.normalize)
batch_norm_sums = _dispatch(reference.batch_norm_sums)
batch_norm_grad = _dispatch(reference.batch_norm_grad)
