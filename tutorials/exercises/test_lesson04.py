"""Tests of the exercises of lesson 4."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor, gradcheck, losses
from minidl.models.ssda import SSDA, DenoisingAutoencoder, Penalty


def test_kl_sparsity(answers: Any) -> None:
    rng = np.random.default_rng(0)
    hidden = Tensor(rng.uniform(0.1, 0.9, (5, 3)))
    for rho in (0.05, 0.3):
        expected = losses.kl_sparsity(hidden, rho).data
        np.testing.assert_allclose(answers.kl_sparsity(hidden, rho).data, expected)
    assert gradcheck.check(lambda h: answers.kl_sparsity(h, 0.05), [hidden], rng=rng) < 1e-6


def test_pair_for_second(answers: Any) -> None:
    rng = np.random.default_rng(0)
    first = DenoisingAutoencoder(6, 4, rng=rng)
    x, y = rng.random((2, 5, 6)).astype(np.float32)
    pair = answers.pair_for_second(first, x, y)
    for got, of in zip(pair, (x, y), strict=True):
        assert isinstance(got, np.ndarray)
        np.testing.assert_array_equal(got, first.encode(of).data)


def test_loss_7(answers: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 5, 6))
    for hidden in [(4,), (4, 3), (4, 6, 2)]:
        network = SSDA(6, hidden, rng=rng).astype(np.float64)
        loss = answers.loss_7(network.autoencoders, x, y, 0.3)
        expected = network.loss(x, y, Penalty(decay=0.3))
        np.testing.assert_allclose(loss.data, expected.data)
