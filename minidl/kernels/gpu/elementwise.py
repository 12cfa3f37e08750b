"""The kernels for CuPy arrays: each one fused pass over its arrays, in CUDA C."""

from __future__ import annotations

import cupy

from ...device import Array
from .. import reference


def _elementwise(inputs: str, outputs: str, body: str, name: str) -> cupy.ElementwiseKernel:
    return cupy.ElementwiseKernel(inputs, outputs, body, f"minidl_{name}")


_sigmoid = _elementwise(
    "T x", "T y", "T e = exp(-abs(x)); y = (x >= 0 ? T(1) : e) / (T(1) + e)", "sigmoid"
)
_sigmoid_grad = _elementwise("T g, T y", "T dx", "dx = g * y * (T(1) - y)", "sigmoid_grad")
_tanh_grad = _elementwise("T g, T y", "T dx", "dx = g * (T(1) - y * y)", "tanh_grad")
_leaky_relu = _elementwise("T x, T slope", "T y", "y = x > 0 ? x : slope * x", "leaky_relu")
_leaky_relu_grad = _elementwise(
    "T g, T x, T slope", "T dx", "dx = x > 0 ? g : slope * g", "leaky_relu_grad"
)
_adam = _elementwise(
    "T g, T rate, T beta1, T beta2, T eps",
    "T p, T m, T v",
    """m += (T(1) - beta1) * (g - m);
       v += (T(1) - beta2) * (g * g - v);
       p -= rate * m / (sqrt(v) + eps)""",
    "adam",
)


def sigmoid(x: Array) -> Array:
    return _sigmoid(x)


def sigmoid_grad(g: Array, y: Array) -> Array:
    return _sigmoid_grad(g, y)


def tanh_grad(g: Array, y: Array) -> Array:
    return _tanh_grad(g, y)


def leaky_relu(x: Array, slope: float) -> Array:
    return _leaky_relu(x, x.dtype.type(slope))


def leaky_relu_grad(g: Array, x: Array, slope: float) -> Array:
    return _leaky_relu_grad(g, x, x.dtype.type(slope))


def adam(
    p: list[Array],
    g: list[Array],
    m: list[Array],
    v: list[Array],
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    for p_i, g_i, m_i, v_i in zip(p, g, m, v, strict=True):
        T = p_i.dtype.type
        _adam(g_i, T(rate), T(beta1), T(beta2), T(eps), p_i, m_i, v_i)


def lay_patches(
    total: Array, weight: Array, patches: Array, rows: Array, columns: Array, window: Array
) -> None:
    reference.lay_patches(total, weight, patches, rows, columns, window)


def matmul(a: Array, b: Array) -> Array:
    return a @ b
