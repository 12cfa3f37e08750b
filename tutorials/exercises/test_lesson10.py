"""Tests of the exercises of lesson 10."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor, gradients


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Three pictures (3, 5, 6, 2) and masks, whose holes are of different sizes."""
    rng = np.random.default_rng(0)
    masks = np.zeros((3, 5, 6), bool)
    masks[0, 1:3, 2:5], masks[1, 0, 0], masks[2, 2:] = True, True, True
    return rng.normal(size=(3, 5, 6, 2)), masks


def test_hide(answers: Any) -> None:
    pictures, masks = batch()
    before, colour = pictures.copy(), np.array([0.25, -0.5])
    hidden = answers.hide(pictures, masks, colour)
    np.testing.assert_array_equal(pictures, before)
    for at in np.ndindex(masks.shape):
        np.testing.assert_array_equal(hidden[at], colour if masks[at] else pictures[at])


def test_reconstruction(answers: Any) -> None:
    pictures, masks = batch()
    prediction = Tensor(pictures + np.random.default_rng(1).normal(size=pictures.shape))
    loss = answers.reconstruction(prediction, pictures, masks)
    squares = ((prediction.data - pictures) ** 2)[masks]
    np.testing.assert_allclose(loss.item(), squares.mean())


def test_reconstruction_teaches_nothing_of_the_context(answers: Any) -> None:
    pictures, masks = batch()
    prediction = Tensor(pictures + 1)
    (g,) = gradients(answers.reconstruction(prediction, pictures, masks), [prediction])
    assert not g[~masks].any()
    np.testing.assert_allclose(g[masks], 2 / (2 * masks.sum()))


def test_channelwise_linear(answers: Any) -> None:
    rng = np.random.default_rng(2)
    x, w, b = rng.normal(size=(2, 3, 3, 4)), rng.normal(size=(4, 9, 9)), rng.normal(size=(4, 9))
    y = answers.channelwise_linear(x, w, b)
    assert y.shape == x.shape
    for n, c in np.ndindex(2, 4):
        expected = x[n, :, :, c].reshape(-1) @ w[c] + b[c]
        np.testing.assert_allclose(y[n, :, :, c].reshape(-1), expected)
