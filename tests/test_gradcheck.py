"""The checker is itself checked: it finds planted faults, also those that a plain sum hides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minidl import Tensor, gradients, op, ops
from minidl.gradcheck import TOLERANCE, check, relative_error
from minidl.gradcheck_cases import CASES, errors
from minidl.ops import unbroadcast

pytestmark = pytest.mark.usefixtures("planting")
Inputs = list[tuple[int, ...]]


def error(function: Callable[..., Tensor], shapes: Inputs) -> float:
    rng = np.random.default_rng(0)
    return check(function, [Tensor(rng.standard_normal(shape)) for shape in shapes], rng=rng)


# --- faults, each beside its correct form ---------------------------------------------------------


def scaled(faulty: bool) -> Callable[..., Tensor]:
    @op
    def square(x):
        return x * x, lambda g: 2 * x * g * (1.001 if faulty else 1)

    return square


def unsummed(faulty: bool) -> Callable[..., Tensor]:
    """The gradient of a repeated row has the right shape, but comes from one repetition alone."""

    @op
    def add_row(b, x):
        return b + x, lambda g: g[0] if faulty else unbroadcast(g, b.shape), lambda g: g

    return add_row


def transposed(faulty: bool) -> Callable[..., Tensor]:
    @op
    def times(x, w):
        return x @ w, lambda g: g @ w.T, lambda g: (x.T @ g).T if faulty else x.T @ g

    return times


def softmax(faulty: bool) -> Callable[..., Tensor]:
    @op
    def softmax(x):
        e = np.exp(x)
        y = e / e.sum(1, keepdims=True)
        return y, lambda g: y * (g - (0 if faulty else (g * y).sum(1, keepdims=True)))

    return softmax


def normalise(faulty: bool) -> Callable[..., Tensor]:
    """Scale each row to mean 0 and deviation 1. The fault: the deviation is taken as a constant."""

    @op
    def normalise(x):
        deviation = x.std(1, keepdims=True)
        y = (x - x.mean(1, keepdims=True)) / deviation

        def grad_x(g):
            through_deviation = 0 if faulty else y * (g * y).mean(1, keepdims=True)
            return (g - g.mean(1, keepdims=True) - through_deviation) / deviation

        return y, grad_x

    return normalise


def sigmoid(faulty: bool) -> Callable[..., Tensor]:
    @op
    def sigmoid(x):
        y = 1 / (1 + np.exp(-x))
        return y, lambda g: g * (y if faulty else y * (1 - y))

    return sigmoid


def one_sign(faulty: bool) -> Callable[..., Tensor]:
    @op
    def square(x):
        def grad_x(g):
            dx = 2 * x * g
            dx[1, 2] *= -1 if faulty else 1
            return dx

        return x * x, grad_x

    return square


def swapped(faulty: bool) -> Callable[..., Tensor]:
    @op
    def multiply(a, b):
        return a * b, *(lambda g: g * b, lambda g: g * a)[:: -1 if faulty else 1]

    return multiply


FAULTS: list[tuple[Callable[[bool], Callable[..., Tensor]], Inputs]] = [
    (scaled, [(3, 4)]),
    (unsummed, [(4,), (3, 4)]),
    (transposed, [(3, 3), (3, 3)]),
    (softmax, [(3, 4)]),
    (normalise, [(3, 4)]),
    (sigmoid, [(3, 4)]),
    (one_sign, [(3, 4)]),
    (swapped, [(3, 4), (3, 4)]),
]


@pytest.mark.parametrize(("plant", "shapes"), FAULTS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_planted_fault_is_found(plant: Callable[[bool], Callable[..., Tensor]], shapes: Inputs):
    assert error(plant(False), shapes) < TOLERANCE
    assert error(plant(True), shapes) > 300 * TOLERANCE


def by_plain_sum(function: Callable[..., Tensor], x: np.ndarray, eps: float = 1e-5) -> float:
    """Return the largest absolute error that a check of the **sum** of the outputs would see."""
    (found,) = gradients(ops.sum(function(t := Tensor(x))), [t])
    numeric = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[at] = eps
        above, below = (function(Tensor(x + s)).data.sum() for s in (step, -step))
        numeric[at] = (above - below) / (2 * eps)
    return float(np.abs(found - numeric).max())


def test_a_plain_sum_would_be_blind(rng: np.random.Generator):
    x = rng.standard_normal((3, 4))
    assert by_plain_sum(normalise(True), x) < 1e-9  # the sum is 0 for every x
    assert error(normalise(True), [(3, 4)]) > 0.1
    assert by_plain_sum(scaled(True), x) > 1e-4  # it is not always blind


# --- the checker's own behaviour ------------------------------------------------------------------


def test_inputs_are_put_back(rng: np.random.Generator):
    x = Tensor(rng.standard_normal((3, 4)))
    before = x.data.copy()
    check(lambda x: ops.reshape(x, shape=(12,)), [x], rng=rng)  # its value is a view of x
    np.testing.assert_array_equal(x.data, before)


def test_float32_is_refused(rng: np.random.Generator):
    x = Tensor(np.ones(3, np.float32), "x")
    with pytest.raises(TypeError, match=r"expected float64, got Tensor x \(3,\) float32"):
        check(ops.exp, [x], rng=rng)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2], [1, 2], 0),
        ([1, 2], [1.1, 2], 0.1 / 1.1),
        ([100, 0.001], [100, 0], 0.001),  # small beside the others
        ([1, np.nan], [1, 2], np.inf),
        ([1, 2], [1, np.inf], np.inf),
    ],
)
def test_relative_error(a: list[float], b: list[float], expected: float):
    assert relative_error(np.array(a), np.array(b)) == pytest.approx(expected)


def test_errors_lists_every_case():
    rows = errors()
    assert [name for _, name, _ in rows] == [case.name for case in CASES]
    assert max(worst for _, _, worst in rows) < TOLERANCE
