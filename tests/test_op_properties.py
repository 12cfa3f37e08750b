"""Ops on random shapes, axes, indices and memory layouts.

Values are compared with NumPy's in float64, gradients with central differences, and every layout
with the same contiguous numbers. `tests/conftest.py` sets the number of examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import Tensor, gradients, ops
from minidl.gradcheck import TOLERANCE, check

Shape = tuple[int, ...]
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=3)
EMPTY_TOO = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3)
SEEDS = st.integers(0, 2**32 - 1)

# --- numbers and their layout ---------------------------------------------------------------------


def normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.uniform(0.3, 2.0, shape)


def distinct(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Draw numbers that differ by at least 0.1, and from 0 by at least 0.05."""
    n = math.prod(shape)
    return (0.1 * (rng.permutation(n) - n // 2) + 0.05).reshape(shape)


def sliced(a: np.ndarray) -> np.ndarray:
    wide = np.full(tuple(2 * n + 1 for n in a.shape), 7.0, a.dtype)
    inside = wide[(slice(1, None, 2),) * a.ndim + (...,)]
    inside[...] = a
    return inside


def freeze_weights(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.setflags(write=False)
    return a


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "in order": np.copy,
    "Fortran's order": lambda a: np.array(a, order="F"),
    "backwards": lambda a: np.flip(np.flip(a).copy()),
    "sliced": sliced,
    "read-only": freeze_weights,
}


def agree(
    function: Callable[..., Tensor],
    meaning: Callable[..., Any],
    shapes: list[Shape],
    seed: int,
    layout: str,
    domain: Callable[..., np.ndarray] = normal,
) -> None:
    """Assert that an op has NumPy's value and the gradients of differences, in any layout and in
    both types."""
    rng = np.random.default_rng(seed)
    arrays = [domain(rng, shape) for shape in shapes]
    expected = np.asarray(meaning(*arrays))
    tensors = [Tensor(LAYOUTS[layout](a)) for a in arrays]
    y = function(*tensors)
    assert (y.shape, y.dtype) == (expected.shape, np.float64)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)

    weights = rng.standard_normal(y.shape)
    plain = [Tensor(a.copy()) for a in arrays]
    if y.data.size and all(a.size for a in arrays):
        assert check(function, plain, rng=rng) < TOLERANCE
    found = gradients(ops.sum(y * weights), tensors)
    wanted = gradients(ops.sum(function(*plain) * weights), plain)
    for g, expected, a in zip(found, wanted, arrays, strict=True):
        assert (g.shape, g.dtype) == (a.shape, np.float64)
        np.testing.assert_allclose(g, expected, rtol=1e-12, atol=1e-12)

    narrow = [Tensor(LAYOUTS[layout](a.astype(np.float32))) for a in arrays]
    y32 = function(*narrow)
    found = gradients(ops.sum(y32 * weights.astype(np.float32)), narrow)
    assert {y32.dtype, *(g.dtype for g in found)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(y32.data, y.data, rtol=1e-4, atol=1e-4)
    for g, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-3, atol=1e-3)


layouts = st.sampled_from(list(LAYOUTS))

# --- axes -----------------------------------------------------------------------------------------


@st.composite
def shapes_and_axes(draw: Any, shapes: Any = SHAPES) -> tuple[Shape, Any]:
    """Draw a shape, and one, several or all of its axes, in any order, counted from either end."""
    shape = draw(shapes)
    n = len(shape)
    signed = st.integers(-n, n - 1)
    several = st.lists(signed, unique_by=lambda i: i % n, max_size=n).map(tuple)
    return shape, draw(st.none() | signed | several)


REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., np.ndarray]]] = {
    "sum": (np.sum, normal),
    "mean": (np.mean, normal),
    "max": (np.max, distinct),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@given(shapes_and_axes(), st.booleans(), SEEDS, layouts)
def test_reductions(name: str, of: Any, keepdims: bool, seed: int, layout: str) -> None:
    (shape, axis), (meaning, domain), lifted = of, REDUCTIONS[name], getattr(ops, name)
    agree(
        lambda x: lifted(x, axis=axis, keepdims=keepdims),
        lambda x: meaning(x, axis=axis, keepdims=keepdims),
        [shape], seed, layout, domain,
    )  # fmt: skip


@given(shapes_and_axes(EMPTY_TOO), st.booleans(), layouts)
def test_sums_of_nothing(of: Any, keepdims: bool, layout: str) -> None:
    shape, axis = of
    agree(lambda x: x.sum(axis, keepdims), lambda x: x.sum(axis=axis, keepdims=keepdims),
          [shape], 0, layout)  # fmt: skip


@st.composite
def permutations(draw: Any) -> tuple[Shape, Shape]:
    shape = draw(SHAPES)
    order = draw(st.permutations(range(len(shape))))
    return shape, tuple(i - len(shape) * draw(st.booleans()) for i in order)


@given(permutations(), SEEDS, layouts)
def test_transpose(of: Any, seed: int, layout: str) -> None:
    shape, axes = of
    agree(lambda x: x.transpose(*axes), lambda x: x.transpose(axes), [shape], seed, layout)


@st.composite
def joined(draw: Any) -> tuple[list[Shape], int]:
    shape = draw(SHAPES)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    at = axis % len(shape)
    return [(*shape[:at], n, *shape[at + 1 :]) for n in sizes], axis


@given(joined(), SEEDS, layouts)
def test_concatenate(of: Any, seed: int, layout: str) -> None:
    shapes, axis = of
    agree(lambda *xs: ops.concatenate(*xs, axis=axis), lambda *xs: np.concatenate(xs, axis),
          shapes, seed, layout)  # fmt: skip


@pytest.mark.parametrize("name", ["sum", "mean", "max", "transpose"])
@given(SHAPES, st.data())
def test_an_axis_given_twice_is_refused(name: str, shape: Shape, data: Any) -> None:
    n = len(shape)
    axis = data.draw(st.integers(0, n - 1))
    axes = [i for i in range(n) if i != axis][: max(0, n - 2)] + [axis, axis - n]
    given = {"axes": tuple(axes)} if name == "transpose" else {"axis": tuple(axes)}
    with pytest.raises(ValueError, match=f"^{name}: "):
        getattr(ops, name)(np.ones(shape), **given)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "transpose", "concatenate"])
@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_too_far_is_refused(name: str, axis: int) -> None:
    given: Any = {"axes": (0, axis)} if name == "transpose" else {"axis": axis}
    with pytest.raises((ValueError, IndexError), match=f"^{name}: "):
        getattr(ops, name)(np.ones((2, 3)), **given)


# --- shapes and indices ---------------------------------------------------------------------------


@st.composite
def reshapes(draw: Any) -> tuple[Shape, Shape]:
    """Draw a shape, and another one of equal size, perhaps with one side left open."""
    shape = draw(SHAPES)
    rest, sizes = math.prod(shape), []
    for _ in range(draw(st.integers(0, 3))):
        sizes.append(draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0])))
        rest //= sizes[-1]
    sizes.append(rest)
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return shape, tuple(sizes)


@given(reshapes(), SEEDS, layouts)
def test_reshape(of: Any, seed: int, layout: str) -> None:
    shape, new = of
    agree(lambda x: x.reshape(*new), lambda x: x.reshape(new), [shape], seed, layout)


@given(SHAPES.flatmap(lambda s: st.tuples(
    st.just(s), hnp.basic_indices(s, allow_newaxis=True) | hnp.integer_array_indices(s)
    | hnp.arrays(bool, s))), SEEDS, layouts)  # fmt: skip
def test_index(of: Any, seed: int, layout: str) -> None:
    shape, at = of
    agree(lambda x: x[at], lambda x: x[at], [shape], seed, layout)


# --- element by element ---------------------------------------------------------------------------

BINARY: dict[str, tuple[Callable[..., Any], Callable[..., np.ndarray]]] = {
    "add": (lambda a, b: a + b, normal),
    "subtract": (lambda a, b: a - b, normal),
    "multiply": (lambda a, b: a * b, normal),
    "divide": (lambda a, b: a / b, positive),
}
UNARY: dict[str, tuple[Callable[..., Any], Callable[..., np.ndarray]]] = {
    "negative": (np.negative, normal),
    "exp": (np.exp, normal),
    "log": (np.log, positive),
    "sqrt": (np.sqrt, positive),
    "absolute": (np.abs, distinct),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), normal),
    "tanh": (np.tanh, normal),
    "softplus": (lambda x: np.log(1 + np.exp(x)), normal),
    "relu": (lambda x: np.maximum(x, 0), distinct),
    "leaky_relu": (lambda x: np.maximum(x, 0.2 * x), distinct),
    "sum_of_squares": (lambda x: (x * x).sum(), normal),
}


@pytest.mark.parametrize("name", BINARY)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3), SEEDS, layouts)
def test_broadcasting(name: str, of: Any, seed: int, layout: str) -> None:
    function, domain = BINARY[name]
    agree(getattr(ops, name), function, list(of.input_shapes), seed, layout, domain)


@pytest.mark.parametrize("name", UNARY)
@given(SHAPES, SEEDS, layouts)
def test_element_by_element(name: str, shape: Shape, seed: int, layout: str) -> None:
    meaning, domain = UNARY[name]
    agree(getattr(ops, name), meaning, [shape], seed, layout, domain)


@given(SHAPES, st.sampled_from([-2, -0.5, 0, 0.5, 1, 2, 3]), SEEDS, layouts)
def test_power(shape: Shape, exponent: float, seed: int, layout: str) -> None:
    agree(lambda x: x**exponent, lambda x: x**exponent, [shape], seed, layout, positive)


@given(SHAPES, st.floats(0.1, 1), SEEDS, layouts)
def test_dropout(shape: Shape, keep: float, seed: int, layout: str) -> None:
    mask = np.random.default_rng(seed).random(shape) < keep
    agree(lambda x: ops.dropout(x, mask=mask, keep=keep), lambda x: np.where(mask, x / keep, 0),
          [shape], seed, layout)  # fmt: skip


SPECIAL = st.sampled_from([-math.inf, math.inf, math.nan, -0.0, 0.0, -2.0, 3.0, 1e-40, -1e-40])


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=SPECIAL), SEEDS)
def test_a_relu_lets_nothing_through(x: np.ndarray, seed: int) -> None:
    """Value and gradient are +0 if x is not positive, for any incoming gradient."""
    rng = np.random.default_rng(seed)
    g = rng.choice(np.array([np.inf, -np.inf, np.nan, 1, -1], np.float32), x.shape)
    t, off = Tensor(x), x <= 0
    y = ops.relu(t)
    with np.errstate(invalid="ignore"):
        (dx,) = gradients(ops.sum(y * g), [t])
    for found, expected in ((y.data, np.where(off, 0, x)), (dx, np.where(off, 0, g))):
        np.testing.assert_array_equal(found, expected)
        assert not np.signbit(found[off]).any()


# --- matrices and channels ------------------------------------------------------------------------

SIZES = st.integers(1, 4)


@given(st.tuples(SIZES, SIZES, SIZES), SEEDS, layouts)
def test_products(of: Any, seed: int, layout: str) -> None:
    n, k, m = of
    agree(ops.matmul, lambda a, b: a @ b, [(n, k), (k, m)], seed, layout)
    agree(ops.linear, lambda x, w, b: x @ w + b, [(n, k), (k, m), (m,)], seed, layout)


@given(st.tuples(SIZES, SIZES, SIZES, SIZES), SEEDS, layouts)
def test_channelwise_linear(of: Any, seed: int, layout: str) -> None:
    n, h, w, c = of
    p = h * w

    def meaning(x: np.ndarray, weights: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (np.einsum("npc,cpq->nqc", x.reshape(n, p, c), weights) + b.T).reshape(n, h, w, c)

    agree(ops.channelwise_linear, meaning, [(n, h, w, c), (c, p, p), (c, p)], seed, layout)


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=3), SIZES, SEEDS, layouts)
def test_batch_norm(rows: Shape, channels: int, seed: int, layout: str) -> None:
    over = tuple(range(len(rows)))

    def meaning(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return gamma * (x - x.mean(over)) / np.sqrt(x.var(over) + 0.1) + beta

    shapes = [(*rows, channels), (channels,), (channels,)]
    agree(lambda *xs: ops.batch_norm(*xs, eps=0.1), meaning, shapes, seed, layout)


@st.composite
def convolutions(draw: Any) -> tuple[list[Shape], int, tuple[int, int, int, int]]:
    """Draw shapes of pictures, window and bias, a stride, and padding that fits the window."""
    (n, h, w, c, o), (k, l) = (draw(st.tuples(*[SIZES] * 5)), draw(st.tuples(SIZES, SIZES)))
    most = st.integers(0, 2)
    top, left, right = draw(most), draw(most), draw(most)
    bottom = max(draw(most), k - h - top)
    right = max(right, l - w - left)
    return [(n, h, w, c), (k, l, c, o), (o,)], draw(SIZES), (top, bottom, left, right)


@given(convolutions(), SEEDS, layouts)
def test_conv2d(of: Any, seed: int, layout: str) -> None:
    shapes, stride, pad = of
    top, bottom, left, right = pad

    def meaning(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[:2], axis=(1, 2))
        return np.einsum("nijckl,klco->nijo", windows[:, ::stride, ::stride], w) + b

    agree(lambda *xs: ops.conv2d(*xs, stride=stride, padding=pad), meaning, shapes, seed, layout)


@given(st.tuples(SIZES, SIZES, SIZES, SIZES), SIZES, SEEDS, layouts)
def test_upsample2d(shape: Any, factor: int, seed: int, layout: str) -> None:
    agree(lambda x: ops.upsample2d(x, factor=factor),
          lambda x: x.repeat(factor, 1).repeat(factor, 2), [shape], seed, layout)  # fmt: skip
