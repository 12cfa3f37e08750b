"""Tests of the exercises of lesson 6."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import ops
from minidl.ops.convolution import pads_of


def test_same_padding(answers: Any) -> None:
    assert answers.same_padding(8, 3, 2) == (0, 1)
    assert answers.same_padding(7, 3, 2) == (1, 1)
    for size in range(1, 12):
        for window in range(1, 6):
            for stride in range(1, 4):
                rule = pads_of("same", (size, size), (window, window), stride)
                assert tuple(answers.same_padding(size, window, stride)) == rule[:2]


def test_im2col(answers: Any) -> None:
    x = np.arange(2 * 5 * 6 * 3.0).reshape(2, 5, 6, 3)
    for window, stride in [(3, 1), (3, 2), (2, 3), (1, 2)]:
        rows = answers.im2col(x, window, stride)
        expected = [
            x[n, i : i + window, j : j + window].ravel()
            for n in range(2)
            for i in range(0, 5 - window + 1, stride)
            for j in range(0, 6 - window + 1, stride)
        ]
        np.testing.assert_array_equal(rows, expected)


def test_conv2d(answers: Any) -> None:
    rng = np.random.default_rng(0)
    for size, window, stride in [((5, 6), 3, 1), ((6, 7), 3, 2), ((8, 5), 4, 2), ((4, 4), 1, 3)]:
        x = rng.normal(size=(2, *size, 3))
        w, b = rng.normal(size=(window, window, 3, 4)), rng.normal(size=4)
        expected = ops.conv2d(x, w, b, stride=stride).data
        y = answers.conv2d(x, w, b, stride)
        assert y.shape == expected.shape
        assert y == pytest.approx(expected)
