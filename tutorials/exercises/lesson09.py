"""Exercises of lesson 9. Test your answers with `pytest -m lesson09`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import nn, optim


def best_loss(p: np.ndarray, q: np.ndarray) -> float:
    """Return the smallest value of the discriminator's loss, for two distributions.

    p, q (K,): the probabilities of K outcomes among the real samples and among the drawn ones, each
    with sum 1; probabilities may be 0. The loss is that of section 2, -1/2 sum p log s - 1/2 sum
    q log(1 - s), with the best s for each outcome. 0 log 0 counts as 0.
    """
    raise NotImplementedError


def generator_slopes(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of log(1 - sigmoid(d)) and of -log sigmoid(d), for logits d of any size.

    There must be no overflow warning at d = 1000 or d = -1000.
    """
    raise NotImplementedError


def turn(
    G: nn.Module,
    D: nn.Module,
    g_optimizer: optim.Optimizer,
    d_optimizer: optim.Optimizer,
    real: np.ndarray,
    z: np.ndarray,
) -> tuple[Any, Any]:
    """Play one turn of the game: D learns, then G learns against the new D.

    Return both losses as numbers: D's loss, 1/2 of the sum of the cross-entropies of real and
    drawn, and G's loss, -log sigmoid(d) of its drawings, as the new D sees them.
    """
    raise NotImplementedError
