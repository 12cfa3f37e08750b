"""L-BFGS: minima, bad losses, and the conditions of the line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, ops
from minidl.optim.lbfgs import LBFGS, _between, _Point

Function = Callable[[float], float]


def rosenbrock(x: Tensor) -> Tensor:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def quadratic(x: Tensor) -> Tensor:
    """Return a loss with curvatures 1 and 10 and its minimum, 0, at (3, 4)."""
    return ops.sum((x - np.array([3.0, 4.0], x.dtype)) ** 2 * np.array([0.5, 5.0], x.dtype))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(
    ("function", "minimum", "steps"), [(rosenbrock, (1, 1), 50), (quadratic, (3, 4), 10)]
)
def test_minima_are_found(
    function: Callable[[Tensor], Tensor], minimum: Any, steps: int, scale: float
):
    """The minimum is found in a few steps, each with hardly more than two evaluations."""
    x = Tensor(np.array([-1.2, 1.0]))
    optimizer = LBFGS([x], memory=5)
    history: list[float] = []
    evaluations = 0

    def loss_of() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return function(x) * scale

    while len(history) < steps and abs(x.data - minimum).max() > 1e-7:
        history.append(optimizer.step(loss_of))
        assert history[-1] == (function(x) * scale).item()
    np.testing.assert_allclose(x.data, minimum, atol=1e-6)
    assert history == sorted(history, reverse=True)
    assert len(optimizer.pairs) <= 5
    assert evaluations < 2.5 * len(history) + 8


@pytest.mark.parametrize("scale", [1e-4, 1.0])
def test_a_direction_that_climbs_is_given_up(scale: float):
    """This holds for any positive slope."""
    x = Tensor(np.array([-1.2, 1.0]))
    optimizer = LBFGS([x])
    assert not optimizer.converged
    s = np.array([1.0, 0.0])
    optimizer.pairs = [(s, -s)]  # as if the curvature were negative
    before = (quadratic(x) * scale).item()
    assert optimizer.step(lambda: quadratic(x) * scale) < before
    assert not optimizer.converged


def test_after_forgetting_a_step_is_one_of_steepest_descent():
    x = Tensor(np.array([3.0, -2.0]), "x")
    optimizer = LBFGS([x])

    def loss() -> Tensor:
        return (x * x * np.array([1.0, 5.0])).sum()

    for _ in range(3):
        optimizer.step(loss)
    assert optimizer.pairs
    optimizer.forget()
    x.data[:] = before = np.array([3.0, -2.0])
    optimizer.step(loss)
    change = x.data - before
    assert change[0] * before[1] * 5 == pytest.approx(change[1] * before[0])  # along the gradient


def test_lbfgs_stays_at_a_minimum():
    x = Tensor(np.array([3.0, 4.0]))
    optimizer = LBFGS([x])
    assert optimizer.step(lambda: quadratic(x)) == 0
    assert optimizer.converged and x.data.tolist() == [3, 4]
    x.data[0] = 0
    assert optimizer.step(lambda: quadratic(x)) < 4.5
    assert not optimizer.converged


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_lbfgs_survives_a_loss_that_is_not_finite(bad: float, after: int):
    x = Tensor(np.array([-1.2, 1.0]))
    calls = 0

    def loss_of() -> Tensor:
        nonlocal calls
        calls += 1
        return rosenbrock(x) * (1.0 if calls <= after else bad)

    optimizer = LBFGS([x])
    loss = optimizer.step(loss_of)
    assert calls <= 1 + optimizer.evaluations
    assert np.isfinite(x.data).all()
    assert math.isfinite(loss) == (after > 0)
    if after:
        assert loss == rosenbrock(x).item()


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value)")
def test_lbfgs_does_not_follow_a_gradient_that_is_not_finite():
    x = Tensor(np.array([0.0, 1.0]))
    LBFGS([x]).step(lambda: ops.sqrt(x * x).sum())  # d/dx is 0 / 0 at 0
    assert x.data.tolist() == [0, 1]


SEARCHED: dict[str, tuple[Function, Function]] = {  # phi, phi'
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "valley after a slope": (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
    "steep": (lambda t: (t - 2) ** 6, lambda t: 6 * (t - 2) ** 5),
    "waves": (lambda t: 0.1 * t * t - math.sin(t), lambda t: 0.2 * t - math.cos(t)),
    "wall": (lambda t: -t - math.log(1 - t) / 2 if t < 1 else math.nan,
             lambda t: -1 + 0.5 / (1 - t) if t < 1 else math.nan),
}  # fmt: skip


@pytest.mark.parametrize(
    ("coefficients", "ends", "expected"),
    [
        ((0, 1, -6, 0), (0, 5), 3),  # a t^3 + b t^2 + c t + d
        ((1, 0, -3, 2), (0, 3), 1),
        ((1, 0, -3, 2), (3, 0), 1),
        ((1, 0, -3, 2), (0.9, 30), 3.81),  # too near an end: moved away by a tenth
        ((1, 0, -3, 2), (-30, 1.1), -2.01),
    ],
)
def test_a_cubic_tells_its_minimum(
    coefficients: tuple[float, ...], ends: tuple[float, float], expected: float
):
    cubic = np.poly1d(coefficients)
    low, high = (_Point(t, cubic(t), cubic.deriv()(t), np.zeros(1)) for t in ends)
    assert _between(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((0, -1), (loss, slope))
        for loss, slope in [(np.nan, 1), (np.inf, 1), (1, np.nan), (1, np.inf)]
    ]
    + [((0, 1), (4 / 3, 1)), ((0, -1), (-2, -1))],  # no minimum, and a straight line
)
def test_where_no_cubic_tells_it_is_the_middle(low: Any, high: Any):
    for ends in ((1.0, 3.0), (3.0, 1.0)):
        points = [_Point(t, f, g, np.zeros(1)) for t, (f, g) in zip(ends, (low, high), strict=True)]
        if ends == (3.0, 1.0):  # the same curve from the other side
            points = [p._replace(slope=-p.slope) for p in points]
        assert _between(*points) == 2


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(-1, 0.95), (-2, -0.95)], lambda second, third: 0 < second < third < 1),
        ([(1, 1.0), (-0.5, -0.95)], lambda second, third: 0 < second < third < 1),
        ([(-1, -0.95), (-2, 0.95)], lambda second, third: 1 < third < second == 2),
        ([(-1, -0.95), (-2, -0.95)], lambda second, third: (second, third) == (2, 4)),
    ],
)
def test_line_search_looks_where_it_goes_down(seen: list[tuple[float, float]], expected: Any):
    """The search tries 1 first; these losses and slopes then bracket a minimum."""
    asked: list[float] = []

    def along(t: float) -> _Point:
        asked.append(t)
        return _Point(t, *[*seen, (-9, 0)][len(asked) - 1], np.zeros(1))

    optimizer = LBFGS([Tensor(np.zeros(1))])
    end = optimizer._line_search(along, _Point(0.0, 0.0, -1.0, np.zeros(1)), 1.0)
    first, second, third = asked
    assert first == 1 and end.t == third
    assert expected(second, third), asked


@pytest.mark.parametrize("first", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.parametrize("c2", [0.9, 0.1])
def test_line_search_satisfies_strong_wolfe(name: str, first: float, c2: float):
    phi, slope = SEARCHED[name]
    optimizer = LBFGS([Tensor(np.zeros(1))], c2=c2)
    start, *_ = points = [_Point(0.0, phi(0), slope(0), np.zeros(1))]

    def along(t: float) -> _Point:
        points.append(_Point(t, phi(t), slope(t), np.zeros(1)))
        return points[-1]

    end = optimizer._line_search(along, start, first)
    assert end.loss <= start.loss + optimizer.c1 * end.t * start.slope
    assert abs(end.slope) <= c2 * abs(start.slope)
    assert end is points[-1] and end.t > 0


def test_line_search_survives_a_loss_that_is_all_noise(rng: np.random.Generator):
    """The bracket may shrink to nothing."""
    optimizer = LBFGS([Tensor(np.zeros(1))], evaluations=100)
    for _ in range(200):

        def along(t: float) -> _Point:
            return _Point(t, -1 + 1e-9 * rng.random(), float(rng.choice([-9, 9])), np.zeros(1))

        end = optimizer._line_search(along, _Point(0.0, 0.0, -1.0, np.zeros(1)), 1.0)
        assert end.loss <= 0 and end.t >= 0


def test_the_search_ends_where_nothing_is_left_between() -> None:
    """|t - 1/3| has no flat slope at its kink: bisection ends at neighbouring numbers."""
    asked: list[float] = []

    def along(t: float) -> _Point:
        asked.append(t)
        return _Point(t, abs(t - 1 / 3), 1.0 if t > 1 / 3 else -1.0, np.zeros(1))

    optimizer = LBFGS([Tensor(np.zeros(1))], evaluations=1000)
    end = optimizer._line_search(along, along(0.0), 1.0)
    assert end.t == pytest.approx(1 / 3, abs=1e-15) and len(asked) < 200
