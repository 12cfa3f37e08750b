"""Solutions of lesson 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def leaky_relu(
    x: np.ndarray, slope: float
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Value and slope change at the same place."""
    return np.where(x > 0, x, slope * x), lambda g: np.where(x > 0, g, slope * g)


def batch_norm_grad(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> np.ndarray:
    """Subtract the mean of g and its component along the normalised x; then scale."""
    axes = (0, 1, 2)
    r = 1 / np.sqrt(x.var(axis=axes) + eps)
    normal = (x - x.mean(axis=axes)) * r
    return gamma * r * (g - g.mean(axis=axes) - normal * (g * normal).mean(axis=axes))


def adam_step(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
    t: int,
    rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> None:
    """Change all three in place: p -= ..., because p = p - ... would make a new array."""
    m += (1 - beta1) * (g - m)
    s += (1 - beta2) * (g * g - s)
    p -= rate * (m / (1 - beta1**t)) / (np.sqrt(s / (1 - beta2**t)) + eps)


def _only_the_mean(g: np.ndarray, x: np.ndarray, gamma: np.ndarray, eps: float) -> np.ndarray:
    return gamma / np.sqrt(x.var(axis=(0, 1, 2)) + eps) * (g - g.mean(axis=(0, 1, 2)))


def _uncorrected(p: Any, g: Any, m: Any, s: Any, t: int, rate: float = 0.001, **more: Any) -> None:
    adam_step(p, g, m, s, 10**9, rate, **more)


def _not_in_place(p: Any, g: Any, m: Any, s: Any, t: int, rate: float = 0.001, **more: Any) -> None:
    adam_step(p.copy(), g, m, s, t, rate, **more)


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "leaky_relu": [
        lambda x, slope: (leaky_relu(x, slope)[0], lambda g: np.where(g > 0, g, slope * g)),
        lambda x, slope: (leaky_relu(x, slope)[0], lambda g: np.where(x > 0, 1, slope)),
        lambda x, slope: leaky_relu(x, 0.0),
    ],
    "batch_norm_grad": [
        _only_the_mean,
        lambda g, x, gamma, eps: g * gamma / np.sqrt(x.var(axis=(0, 1, 2)) + eps),
        lambda g, x, gamma, eps: batch_norm_grad(g, x, np.ones_like(gamma), eps),
        lambda g, x, gamma, eps: batch_norm_grad(g, x, gamma, 0.0),
    ],
    "adam_step": [_uncorrected, _not_in_place],
}
