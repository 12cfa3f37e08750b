"""The kernels that work element by element, compiled by Numba.

Each kernel is a loop over flat, contiguous memory that LLVM turns into vector instructions, and a
function around it that makes the arrays flat and the result the right shape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .. import checks
from ..flush_to_zero import underflow_threshold
from . import tuning
from .runtime import threadpool
from .runtime.buffer_pool import empty_like, writable_contiguous
from .runtime.jit import device_function
from .runtime.jobs import parallel_jit

# --- the exponential ---------------------------------------------------------------------------

LOG2_E = np.float32(1.44269504088896341)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # their sum is log 2
C2, C3, C4, C5, C6, C7 = (  # of the minimax polynomial for exp(r) - 1 - r on |r| <= log(2) / 2
    np.float32(c)
    for c in (5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3,
              1.3981999507e-3, 1.9875691500e-4)
)  # fmt: skip
ONE, HALF = np.float32(1), np.float32(0.5)
LOWEST, HIGHEST = np.float32(-87.3), np.float32(88.0)  # beyond these, exp leaves float32's range


def exp(x: Any) -> Any:
    """exp(x) in compiled code: in float32 without branches (Cephes' expf), in float64 libm's."""
    raise NotImplementedError


@overload(exp, inline="always")
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def exp32(x):
        x = LOWEST if x < LOWEST else x  # in this form, a NaN stays a NaN
        x = HIGHEST if x > HIGHEST else x
        n = np.floor(x * LOG2_E + HALF)  # exp(x) = 2^n exp(r)
        r = x - n * LN2_HIGH - n * LN2_LOW
        tail = ((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2
        power_of_two = np.int32((np.int32(n) + 127) << 23).view(np.float32)  # n as exponent bits
        return (tail * r * r + r + ONE) * power_of_two

    return exp32


# --- the loops ---------------------------------------------------------------------------------


@parallel_jit
def _sigmoid(x, y, one, threshold, chunk):
    here = slice(chunk.first, chunk.last)
    x, y = x[here], y[here]
    for i in range(x.size):
        s = one / (one + exp(-x[i]))
        y[i] = one - one if s < threshold else s


@parallel_jit
def _sigmoid_grad(g, y, dx, one, threshold, chunk):
    here = slice(chunk.first, chunk.last)
    g, y, dx = g[here], y[here], dx[here]
    for i in range(g.size):
        d = g[i] * y[i] * (one - y[i])
        dx[i] = one - one if abs(d) < threshold else d


@parallel_jit
def _tanh_grad(g, y, dx, one, chunk):
    here = slice(chunk.first, chunk.last)
    g, y, dx = g[here], y[here], dx[here]
    for i in range(g.size):
        dx[i] = g[i] * (one - y[i] * y[i])


@device_function
def sloped(g, x, slope):
    """Return slope g if x <= 0, else g. With slope 0 the former is 0, even if g is not a number."""
    down = slope * g if slope > 0 else slope
    return down if x <= 0 else g


@parallel_jit
def _leaky_relu(x, y, slope, chunk):
    here = slice(chunk.first, chunk.last)
    x, y = x[here], y[here]
    for i in range(x.size):
        y[i] = sloped(x[i], x[i], slope)


@parallel_jit
def _leaky_relu_grad(g, x, dx, slope, chunk):
    here = slice(chunk.first, chunk.last)
    g, x, dx = g[here], x[here], dx[here]
    for i in range(g.size):
        dx[i] = sloped(g[i], x[i], slope)


@parallel_jit
def _add(a, row, y, chunk):
    """Compute y = a + row. If row is shorter than a, it is repeated."""
    i = chunk.first
    while i < chunk.last:
        first = i % row.size
        more = row[first : first + chunk.last - i]
        here, to = a[i:], y[i:]
        for k in range(more.size):
            to[k] = here[k] + more[k]
        i += more.size


@parallel_jit
def _squared_distance_grad(a, b, da, twice_g, chunk):
    here = slice(chunk.first, chunk.last)
    a, b, da = a[here], b[here], da[here]
    for i in range(a.size):
        da[i] = twice_g * (a[i] - b[i])


@parallel_jit
def _adam(p, g, m, v, lr, one_minus_beta1, one_minus_beta2, eps, tiny, chunk):
    here = slice(chunk.first, chunk.last)
    p, g, m, v = p[here], g[here], m[here], v[here]
    zero = tiny - tiny
    for i in range(p.size):
        mean = m[i] + one_minus_beta1 * (g[i] - m[i])
        square = v[i] + one_minus_beta2 * (g[i] * g[i] - v[i])
        m[i] = zero if abs(mean) < tiny else mean
        v[i] = zero if square < tiny else square
        p[i] -= lr * m[i] / (math.sqrt(v[i]) + eps)


# --- the kernels: what they mean is in reference.py ----------------------------------------------


def _run(loop: Any, *arrays: np.ndarray, scalars: tuple = ()) -> None:
    """Run loop(*arrays, *scalars) over the flat arrays, split over threads.

    The arrays have one shape and type. Those that are not contiguous are copied.
    """
    checks.alike(loop.__name__.removeprefix("_"), *arrays)
    T = arrays[0].dtype.type
    flat, numbers = [np.ascontiguousarray(a).reshape(-1) for a in arrays], [T(s) for s in scalars]
    size = flat[0].size
    chunks = threadpool.chunk_count(size, grain=tuning.GRAIN_SIZE)
    threadpool.parallel_for(loop, size, chunks, *flat, *numbers)


def sigmoid(x: np.ndarray) -> np.ndarray:
    y = empty_like(x)
    _run(_sigmoid, x, y, scalars=(1, underflow_threshold(x.dtype)))
    return y


def sigmoid_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx = empty_like(y)
    _run(_sigmoid_grad, g, y, dx, scalars=(1, underflow_threshold(y.dtype)))
    return dx


def tanh_grad(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx = empty_like(y)
    _run(_tanh_grad, g, y, dx, scalars=(1,))
    return dx


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    y = empty_like(x)
    _run(_leaky_relu, x, y, scalars=(slope,))
    return y


def leaky_relu_grad(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    dx = empty_like(x)
    _run(_leaky_relu_grad, g, x, dx, scalars=(slope,))
    return dx


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    checks.alike("add", a, b)
    if _repeats(a):
        a, b = b, a
    row = b[(0,) * (b.ndim - 1)] if _repeats(b) else b
    row, y = writable_contiguous(row).reshape(-1), empty_like(a)
    chunks, flat = threadpool.chunk_count(y.size, grain=tuning.GRAIN_SIZE), np.ascontiguousarray(a)
    threadpool.parallel_for(_add, y.size, chunks, flat.reshape(-1), row, y.reshape(-1))
    return y


def _repeats(x: np.ndarray) -> bool:
    """Return whether all rows of x, along its last axis, are one row."""
    return x.ndim > 1 and x.size > 0 and not any(x.strides[:-1])


def squared_distance_grad(g: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    da = empty_like(a)
    _run(_squared_distance_grad, a, b, da, scalars=(2 * g,))
    return da


def adam(
    p: list[np.ndarray],
    g: list[np.ndarray],
    m: list[np.ndarray],
    v: list[np.ndarray],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    for arrays in zip(p, g, m, v, strict=True):
        for name, array in zip("pgmv", arrays, strict=True):
            if name != "g" and not array.flags.carray:  # a copy would be updated instead
                raise ValueError(
                    f"adam: {name} must be C-contiguous and writeable to be updated in place"
                )
        tiny = np.finfo(arrays[0].dtype).tiny
        _run(_adam, *arrays, scalars=(lr, 1 - beta1, 1 - beta2, eps, tiny))
