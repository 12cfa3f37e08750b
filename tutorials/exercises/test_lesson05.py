"""Tests of the exercises of lesson 5."""

from __future__ import annotations

from typing import Any

import numpy as np


def test_write_over(answers: Any) -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        clean, coverage = rng.random((4, 5, channels)), rng.random((4, 5))
        coverage[0], coverage[1] = 0, 1
        colour, before = rng.random(channels), clean.copy()
        written = answers.write_over(clean, coverage, colour)
        np.testing.assert_array_equal(clean, before)
        assert written.shape == clean.shape
        np.testing.assert_allclose(written[0], clean[0])
        np.testing.assert_allclose(written[1], np.broadcast_to(colour, (5, channels)))
        c = channels - 1
        expected = (1 - coverage[2, 3]) * clean[2, 3, c] + coverage[2, 3] * colour[c]
        np.testing.assert_allclose(written[2, 3, c], expected)


def test_diffuse_one_step(answers: Any) -> None:
    picture = np.arange(12.0).reshape(3, 4) ** 2
    mask = np.zeros((3, 4), bool)
    mask[0, 0] = mask[1, 1] = mask[1, 2] = mask[2, 1] = True
    before = picture.copy()
    filled = answers.diffuse(picture, mask, 1)
    np.testing.assert_array_equal(picture, before)
    expected = picture.copy()
    expected[0, 0] = (1 + 16) / 2
    expected[1, 1] = (1 + 81 + 16 + 36) / 4
    expected[1, 2] = (4 + 100 + 25 + 49) / 4
    expected[2, 1] = (25 + 64 + 100) / 3
    np.testing.assert_allclose(filled, expected)


def test_diffuse_ends_in_a_slope(answers: Any) -> None:
    slope = np.tile(np.linspace(0, 1, 9), (9, 1))
    mask = np.zeros((9, 9), bool)
    mask[:, 3:6] = True  # up to the border
    damaged = np.where(mask, 0.9, slope)
    np.testing.assert_allclose(answers.diffuse(damaged, mask, 300), slope, atol=1e-6)


def test_found_and_missed(answers: Any) -> None:
    mask = np.array([[True, True, True, True, False, False]])
    found = np.array([[True, False, False, False, True, False]])
    np.testing.assert_allclose(answers.found_and_missed(found, mask), (0.5, 0.25))
    nothing = np.zeros_like(mask)
    np.testing.assert_allclose(answers.found_and_missed(nothing, mask), (1, 0))
    np.testing.assert_allclose(answers.found_and_missed(found, nothing), (0, 1))
