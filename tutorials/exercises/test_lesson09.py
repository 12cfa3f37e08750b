"""Tests of the exercises of lesson 9."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minidl import gradients, losses, nn, optim


def test_best_loss(answers: Any) -> None:
    rng = np.random.default_rng(0)
    p, q = (a / a.sum() for a in rng.random((2, 6)))
    best = answers.best_loss(p, q)
    s = p / (p + q)

    def loss(s: np.ndarray) -> float:
        return float(-0.5 * (p * np.log(s) + q * np.log(1 - s)).sum())

    np.testing.assert_allclose(best, loss(s))
    assert all(best < loss(np.clip(s + rng.normal(0, 0.05, 6), 0.01, 0.99)) for _ in range(20))


def test_best_loss_at_the_ends(answers: Any) -> None:
    """With equal distributions half of all answers are wrong; with separate ones none is."""
    half = np.array([0.5, 0.5, 0, 0])
    np.testing.assert_allclose(answers.best_loss(half, half), np.log(2))
    np.testing.assert_allclose(answers.best_loss(half, half[::-1]), 0, atol=1e-12)


def test_generator_slopes(answers: Any) -> None:
    d = np.linspace(-8, 8, 33)
    first, second = answers.generator_slopes(d)
    up, down = (1 / (1 + np.exp(-(d + e))) for e in (1e-5, -1e-5))
    np.testing.assert_allclose(first, (np.log(1 - up) - np.log(1 - down)) / 2e-5, rtol=1e-5)
    np.testing.assert_allclose(second, -(np.log(up) - np.log(down)) / 2e-5, rtol=1e-5)


def test_generator_slopes_of_a_judge_that_is_sure(answers: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = answers.generator_slopes(np.array([-1000.0, 1000.0]))
    np.testing.assert_allclose(first, [0, -1], atol=1e-12)
    np.testing.assert_allclose(second, [-1, 0], atol=1e-12)


class Players:
    """A small game, always the same."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.G = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))
        self.D = nn.Sequential(nn.Linear(2, 4, rng=rng), nn.LeakyReLU(), nn.Linear(4, 1, rng=rng))
        self.g_optimizer = optim.SGD(self.G.parameters(), lr=0.1)
        self.d_optimizer = optim.SGD(self.D.parameters(), lr=0.1)
        self.real = rng.normal(2, 1, (16, 2)).astype(np.float32)
        self.z = rng.normal(size=(16, 3)).astype(np.float32)


def test_turn(answers: Any) -> None:
    """Compare with the same turn, in which the gradients go through the whole game."""
    a, b = Players(), Players()
    d_loss, g_loss = answers.turn(a.G, a.D, a.g_optimizer, a.d_optimizer, a.real, a.z)

    both = (
        losses.binary_cross_entropy(b.D(b.real), 1.0),
        losses.binary_cross_entropy(b.D(b.G(b.z)), 0.0),
    )
    loss = 0.5 * (both[0] + both[1])
    np.testing.assert_allclose(d_loss, loss.item(), rtol=1e-5)
    for p, g in zip(b.D.parameters(), gradients(loss, b.D.parameters()), strict=True):
        p.data -= np.float32(0.1) * g
    for p, other in zip(a.D.parameters(), b.D.parameters(), strict=True):
        np.testing.assert_allclose(p.data, other.data, rtol=1e-4, atol=1e-6)

    loss = losses.binary_cross_entropy(b.D(b.G(b.z)), 1.0)
    np.testing.assert_allclose(g_loss, loss.item(), rtol=1e-5)
    for p, g in zip(b.G.parameters(), gradients(loss, b.G.parameters()), strict=True):
        p.data -= np.float32(0.1) * g
    for p, other in zip(a.G.parameters(), b.G.parameters(), strict=True):
        np.testing.assert_allclose(p.data, other.data, rtol=1e-4, atol=1e-6)
