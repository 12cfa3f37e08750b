"""Tests of the exercises of lesson 8."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, ops, optim


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_leaky_relu(answers: Any, slope: float) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    value, grad = answers.leaky_relu(x, slope)
    np.testing.assert_allclose(value, np.maximum(x, 0) + slope * np.minimum(x, 0))
    quotient = (
        answers.leaky_relu(x + 1e-7, slope)[0] - answers.leaky_relu(x - 1e-7, slope)[0]
    ) / 2e-7
    np.testing.assert_allclose(grad(g), g * quotient, rtol=1e-6, atol=1e-8)


def test_batch_norm_grad(answers: Any) -> None:
    rng = np.random.default_rng(1)
    x, g = rng.normal(3, 0.5, (2, 4, 3, 5)), rng.normal(size=(2, 4, 3, 5))
    gamma, eps = rng.uniform(0.5, 2, 5), 0.1
    tensor = Tensor(x)
    loss = ops.sum(ops.batch_norm(tensor, gamma, np.zeros(5), eps=eps) * g)
    found = answers.batch_norm_grad(g, x, gamma, eps)
    np.testing.assert_allclose(found, gradients(loss, [tensor])[0], atol=1e-12)


def test_batch_norm_grad_has_nothing_in_two_directions(answers: Any) -> None:
    """Shifting or stretching a channel does not change the value, if eps is 0."""
    rng = np.random.default_rng(2)
    x, g = rng.normal(3, 0.5, (2, 4, 3, 5)), rng.normal(size=(2, 4, 3, 5))
    found = answers.batch_norm_grad(g, x, np.ones(5), 0.0)
    np.testing.assert_allclose(found.sum(axis=(0, 1, 2)), 0, atol=1e-10)
    np.testing.assert_allclose((found * x).sum(axis=(0, 1, 2)), 0, atol=1e-10)


def test_adam_step(answers: Any) -> None:
    rng = np.random.default_rng(3)
    p = rng.normal(size=7)
    m, s, expected = np.zeros(7), np.zeros(7), Tensor(p.copy())
    adam = optim.Adam([expected], lr=0.01)
    for t in range(1, 20):
        g = rng.normal(size=7)
        answers.adam_step(p, g, m, s, t, rate=0.01)
        adam.step([g])
    np.testing.assert_allclose(p, expected.data, rtol=1e-5)


def test_adam_step_moves_by_the_rate(answers: Any) -> None:
    """The first step is as long as the rate, whatever the gradient's size."""
    for size in (1e-3, 1.0, 1e3):
        p, m, s = np.zeros(1), np.zeros(1), np.zeros(1)
        answers.adam_step(p, np.array([size]), m, s, 1, rate=0.01)
        np.testing.assert_allclose(p, -0.01, rtol=1e-4)
