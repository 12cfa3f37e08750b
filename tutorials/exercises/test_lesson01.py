"""Tests of the exercises of lesson 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor


def test_divide(answers: Any) -> None:
    rng = np.random.default_rng(0)
    a, b, g = rng.normal(size=(3, 4)), rng.uniform(0.5, 2, (3, 4)), rng.normal(size=(3, 4))
    value, grad_a, grad_b = answers.divide(a, b)
    np.testing.assert_allclose(value, a / b)
    eps = 1e-6
    slope_a = ((a + eps) / b - (a - eps) / b) / (2 * eps)
    slope_b = (a / (b + eps) - a / (b - eps)) / (2 * eps)
    np.testing.assert_allclose(grad_a(g), g * slope_a, rtol=1e-6)
    np.testing.assert_allclose(grad_b(g), g * slope_b, rtol=1e-6)


def test_unbroadcast(answers: Any) -> None:
    g = np.arange(24.0).reshape(2, 3, 4)
    for shape in [(2, 3, 4), (3, 4), (4,), (), (3, 1), (1, 3, 1), (2, 1, 4), (1, 1)]:
        summed = answers.unbroadcast(g, shape)
        assert summed.shape == shape
        # Repeated again, the result counts every element of g once for each position.
        other = np.arange(float(np.prod(shape))).reshape(shape)
        np.testing.assert_allclose((summed * other).sum(), (g * other).sum())


def test_descend(answers: Any) -> None:
    """(a b - 6)^2 + (a - 2)^2 from (1, 1): three steps, by hand; then all the way down."""
    a, b = Tensor(np.array(1.0)), Tensor(np.array(1.0))

    def loss_of() -> Tensor:
        product, distance = a * b - 6.0, a - 2.0
        return product * product + distance * distance

    losses = answers.descend(loss_of, [a, b], 0.01, 3)
    x, y, expected = 1.0, 1.0, []
    for _ in range(3):
        expected.append((x * y - 6) ** 2 + (x - 2) ** 2)
        slope_x, slope_y = 2 * (x * y - 6) * y + 2 * (x - 2), 2 * (x * y - 6) * x
        x, y = x - 0.01 * slope_x, y - 0.01 * slope_y
    np.testing.assert_allclose(losses, expected)
    np.testing.assert_allclose([a.item(), b.item()], [x, y])
    answers.descend(loss_of, [a, b], 0.01, 2000)
    np.testing.assert_allclose([a.item(), b.item()], [2, 3], atol=1e-3)
