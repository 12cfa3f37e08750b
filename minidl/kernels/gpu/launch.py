"""Compiling the kernels of this folder's CUDA files, and launching them.

Only this file calls CuPy for memory, compiled functions and the stream. A test replaces these
functions, and so runs the whole folder on a machine without a GPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...device import Array, tf32
from .. import checks

THREADS = 256  # in a block, as in common.cu
BLOCKS = 4096  # at most, for a loop that all threads share; more would only wait
CHUNK = 256 << 20  # bytes of scratch between two kernels, for a chunk of the pictures of a batch

TF32_MATH = 3  # CUBLAS_TF32_TENSOR_OP_MATH, which CuPy does not name

FILES = ("common", "elementwise", "gemm", "convolution", "normalisation", "upsampling",
         "patches", "philox")  # fmt: skip
TYPES = {"f": "float", "d": "double"}  # T in the names below, for the characters of dtypes
KERNELS = (
    "sigmoid<T>", "sigmoid_grad<T>", "tanh_grad<T>", "leaky_relu<T>", "leaky_relu_grad<T>",
    "add<T>", "squared_distance<T>", "squared_distance_grad<T>", "adam<T>", "add_parts<T>",
    *(f"matmul<{tile}, {a}, {b}>" for tile in ("T, 64", "float, 128")
      for a in ("false", "true") for b in ("false", "true")),
    *(f"{name}<{tile}>" for name in ("conv2d", "conv2d_grad_x", "conv2d_grad_w")
      for tile in ("T, 16", "T, 64", "float, 128")),
    "unroll<T>", "roll_up<T>",
    "channel_sum<T>", "batch_norm_sums<T>", "moments<T>", "totals<T>", "moments_totals<T>",
    "normalize<T>", "batch_norm_grad<T>",
    "transform<T>", "transform_back<T>", "combine<T>", "combine_back<T>", "window_factors<T>",
    "window_back<T>",
    "fold<T, float>", "fold<T, double>",
    "random_floats<T, false>", "random_floats<T, true>", "random_integers", "move_counter",
)  # fmt: skip


def source() -> str:
    """Return the CUDA C++ of all files. Errors in it name the file and the line."""
    folder = Path(__file__).parent
    texts = ((f"{name}.cu", (folder / f"{name}.cu").read_text("utf-8")) for name in FILES)
    return "".join(f'#line 1 "{name}"\n{text}' for name, text in texts)


def expression(kernel: str, dtype: np.dtype) -> str:
    """Return a kernel's name in C++: "conv2d<float, 64>" for "conv2d<T, 64>"."""
    return kernel.replace("<T", f"<{TYPES[dtype.char]}") if "<T" in kernel else kernel


def expressions() -> list[str]:
    """Return the names of all compiled kernels: each kernel for each of its types."""
    both = np.dtype(np.float32), np.dtype(np.float64)
    return list(dict.fromkeys(expression(kernel, dtype) for kernel in KERNELS for dtype in both))


# --- what CuPy gives ------------------------------------------------------------------------------


@functools.cache
def _module() -> Any:
    """Return the compiled kernels. Compilation takes seconds, once: CuPy keeps them on disk."""
    import cupy

    return cupy.RawModule(
        code=source(), options=("-std=c++17",), name_expressions=tuple(expressions())
    )


@functools.cache
def function(name: str) -> Any:
    """Return a compiled kernel, to be called as function(grid, block, arguments)."""
    return _module().get_function(name)


def empty(shape: int | Sequence[int], dtype: Any) -> Array:
    """Return an uninitialised array on the GPU."""
    import cupy

    return cupy.empty(shape, dtype)


def contiguous(array: Array) -> Array:
    """Return the array, copied if it is not contiguous."""
    import cupy

    return cupy.ascontiguousarray(array)


def address(array: Array) -> int:
    """Return the address of the array in the GPU's memory."""
    return array.data.ptr


def numbers(array: Array) -> np.ndarray:
    """Return a copy of a small array on the CPU. The call waits for the GPU."""
    return array.get()


def multiply(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a b, by cuBLAS. If `tf32()`, float32 products use the tensor cores' TF32."""
    from cupy.cuda.device import get_cublas_handle
    from cupy_backends.cuda.libs import cublas

    # Each thread has its own handle. CuPy itself heeds CUPY_TF32 in products of matrices only.
    cublas.setMathMode(get_cublas_handle(), TF32_MATH if tf32() else cublas.CUBLAS_DEFAULT_MATH)
    return np.matmul(a, b, out=out)


# --- launching ------------------------------------------------------------------------------------


def launch(kernel: str, dtype: np.dtype, grid: tuple[int, ...], *arguments: Any) -> None:
    """Run a kernel on the current stream, with a grid of blocks; an empty grid is not launched.

    The kernel gets an int as 64 bits, a float as double, an array as its address, and 0 for a
    missing array. A NumPy array of a structured type and size 1 is passed by value.
    """
    if max(grid[1:], default=1) > 65535:
        raise ValueError(f"{kernel}: more blocks than a GPU takes, {grid}: arrays are too large")
    if all(grid):
        function(expression(kernel, dtype))(grid, (THREADS,), arguments)


def blocks(numbers: int) -> tuple[int]:
    """Return the grid for a loop over `numbers` numbers that all threads share."""
    return (min(BLOCKS, math.ceil(numbers / THREADS)),)


def chunks(pictures: int, numbers: int, dtype: np.dtype) -> Iterator[slice]:
    """Yield slices of the pictures. Each needs at most CHUNK bytes, with `numbers` per picture."""
    size = max(1, CHUNK // max(1, numbers * dtype.itemsize))
    for start in range(0, pictures, size):
        yield slice(start, min(pictures, start + size))


def check_types(what: str, *arrays: Array) -> None:
    """Raise ValueError unless all arrays are of one float type and on one device.

    A kernel reads all of them as the type of one.
    """
    checks.one_type(what, *arrays)
    if len({str(a.device) for a in arrays}) > 1:
        given = ", ".join(f"{a.shape} on {a.device}" for a in arrays)
        raise ValueError(f"{what}: expected arrays on one device, got {given}")


def check(what: str, *arrays: Array) -> list[Array]:
    """Return the arrays, contiguous. Raises ValueError as `check_types` does."""
    check_types(what, *arrays)
    return [contiguous(a) for a in arrays]


def check_shape(what: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the array has this shape."""
    if array.shape != shape:
        raise ValueError(f"{what}: expected an array of shape {shape}, got {array.shape}")
