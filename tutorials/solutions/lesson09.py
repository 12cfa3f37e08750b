"""Solutions of lesson 9."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import gradients, nn, optim
from minidl.losses import binary_cross_entropy


def best_loss(p: np.ndarray, q: np.ndarray) -> float:
    """Take s = p / (p + q). Outcomes of probability 0 are left out before the logarithm."""
    total = p + q
    real = -sum(a * np.log(a / t) for a, t in zip(p, total, strict=True) if a > 0)
    drawn = -sum(b * np.log(b / t) for b, t in zip(q, total, strict=True) if b > 0)
    return 0.5 * float(real + drawn)


def generator_slopes(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return -sigmoid(d) and -sigmoid(-d), by exponentials of numbers that are not above 0."""
    e = np.exp(-np.abs(d))
    small, large = e / (1 + e), 1 / (1 + e)
    return -np.where(d > 0, large, small), -np.where(d > 0, small, large)


def turn(
    G: nn.Module,
    D: nn.Module,
    g_optimizer: optim.Optimizer,
    d_optimizer: optim.Optimizer,
    real: np.ndarray,
    z: np.ndarray,
) -> tuple[Any, Any]:
    """The drawing is made once; D sees it as an array, then as a tensor."""
    fake = G(z)
    of_real, of_fake = binary_cross_entropy(D(real), 1.0), binary_cross_entropy(D(fake.data), 0.0)
    d_loss = 0.5 * (of_real + of_fake)
    d_optimizer.step(gradients(d_loss, D.parameters()))
    g_loss = binary_cross_entropy(D(fake), 1.0)
    g_optimizer.step(gradients(g_loss, G.parameters()))
    return d_loss.item(), g_loss.item()


def _without_zeros(p: np.ndarray, q: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(-0.5 * (p * np.log(p / (p + q)) + q * np.log(q / (p + q))).sum())


def _against_the_old(
    G: Any, D: Any, g_optimizer: Any, d_optimizer: Any, real: Any, z: Any
) -> tuple[Any, Any]:
    fake = G(z)
    g_loss = binary_cross_entropy(D(fake), 1.0)
    real_loss, fake_loss = binary_cross_entropy(D(real), 1.0), binary_cross_entropy(D(fake), 0.0)
    d_loss = 0.5 * (real_loss + fake_loss)
    d_optimizer.step(gradients(d_loss, D.parameters()))
    g_optimizer.step(gradients(g_loss, G.parameters()))
    return d_loss.item(), g_loss.item()


def _labels_exchanged(
    G: Any, D: Any, g_optimizer: Any, d_optimizer: Any, real: Any, z: Any
) -> tuple[Any, Any]:
    fake = G(z)
    of_real, of_fake = binary_cross_entropy(D(real), 0.0), binary_cross_entropy(D(fake.data), 1.0)
    d_loss = 0.5 * (of_real + of_fake)
    d_optimizer.step(gradients(d_loss, D.parameters()))
    g_loss = binary_cross_entropy(D(fake), 1.0)
    g_optimizer.step(gradients(g_loss, G.parameters()))
    return d_loss.item(), g_loss.item()


def _generator_helps_the_judge(
    G: Any, D: Any, g_optimizer: Any, d_optimizer: Any, real: Any, z: Any
) -> tuple[Any, Any]:
    d_loss, _ = turn(G, D, optim.SGD(G.parameters(), lr=0), d_optimizer, real, z)
    g_loss = binary_cross_entropy(D(G(z)), 0.0)
    g_optimizer.step(gradients(g_loss, G.parameters()))
    return d_loss, g_loss.item()


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "best_loss": [
        lambda p, q: float(np.log(2)),  # the loss of a blind judge
        lambda p, q: 2 * best_loss(p, q),
        _without_zeros,
    ],
    "generator_slopes": [
        lambda d: generator_slopes(d)[::-1],
        lambda d: tuple(-s for s in generator_slopes(d)),
        lambda d: (-1 / (1 + np.exp(-d)), -1 / (1 + np.exp(d))),  # overflows
    ],
    "turn": [_against_the_old, _labels_exchanged, _generator_helps_the_judge],
}
