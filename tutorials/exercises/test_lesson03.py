"""Tests of the exercises of lesson 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor, gradcheck, losses
from minidl.models.images import scores
from minidl.models.ssda import DenoisingAutoencoder


def test_psnr(answers: Any) -> None:
    rng = np.random.default_rng(0)
    clean, other = rng.random((8, 9)), rng.random((8, 9))
    np.testing.assert_allclose(answers.psnr(clean, other), scores.psnr(clean, other))
    np.testing.assert_allclose(answers.psnr(clean, clean + 0.1), 20)
    bytes_clean, bytes_other = (
        np.array(grid, np.uint8) for grid in ([[0, 200], [30, 40]], [[5, 195], [35, 35]])
    )
    expected = 20 * np.log10(255 / 5)
    np.testing.assert_allclose(answers.psnr(bytes_clean, bytes_other, peak=255), expected)


def test_merge(answers: Any) -> None:
    rng = np.random.default_rng(0)
    for shape, size, stride in [((12, 9), 3, 3), ((12, 9), 3, 1), ((10, 14), 6, 2)]:
        picture = rng.random(shape)
        windows = np.lib.stride_tricks.sliding_window_view(picture, (size, size))
        patches = windows[::stride, ::stride].reshape(-1, size * size)
        np.testing.assert_allclose(answers.merge(patches, shape, size, stride), picture)
    # Two patches that disagree: where they overlap, the mean.
    merged = answers.merge(np.array([[0.0] * 4, [1.0] * 4]), (2, 3), 2, 1)
    np.testing.assert_allclose(merged, [[0, 0.5, 1], [0, 0.5, 1]])


def test_denoising_loss(answers: Any) -> None:
    rng = np.random.default_rng(0)
    network = DenoisingAutoencoder(6, 4, rng=rng).astype(np.float64)
    x, y = rng.random((5, 6)), rng.random((5, 6))
    parameters = network.parameters()
    loss = answers.denoising_loss(x, y, *parameters)
    assert isinstance(loss, Tensor) and loss.shape == ()
    np.testing.assert_allclose(loss.data, losses.half_squared_error(network(x), y).data)
    error = gradcheck.check(lambda *p: answers.denoising_loss(x, y, *p), parameters, rng=rng)
    assert error < 1e-6
