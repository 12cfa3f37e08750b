"""Tests of the exercises of lesson 7."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import ops


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_upsample_grad(answers: Any, factor: int) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3 * factor, 4 * factor, 2))
    large = x.repeat(factor, axis=1).repeat(factor, axis=2)
    small = answers.upsample_grad(g, factor)
    assert small.shape == x.shape
    # The transpose of repeating: <repeated x, g> = <x, summed g>, for each picture and channel.
    left, right = (large * g).sum(axis=(1, 2)), (x * small).sum(axis=(1, 2))
    np.testing.assert_allclose(left, right)


@pytest.mark.parametrize(("window", "stride", "pad"), [(4, 2, 1), (3, 1, 1), (2, 3, 0), (4, 1, 0)])
def test_conv_transpose(answers: Any, window: int, stride: int, pad: int) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 2, 4)), rng.normal(size=(window, window, 5, 4))
    expected = ops.conv_transpose2d(x[None], w, np.zeros(5), stride=stride, padding=pad).data[0]
    np.testing.assert_allclose(answers.conv_transpose(x, w, stride, pad), expected)


class _Counted(np.ndarray):
    """An array that counts the products of matrices it takes part in."""

    rows = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(a) for a in inputs]
        value = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            _Counted.rows += plain[0].shape[-2]
        return value.view(_Counted) if isinstance(value, np.ndarray) else value


def test_upsample_conv1d(answers: Any) -> None:
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(6, 3)), rng.normal(size=(3, 3, 2))
    padded = np.pad(x.repeat(2, axis=0), ((1, 1), (0, 0)))
    expected = sum(padded[k : k + 12] @ w[k] for k in range(3))
    np.testing.assert_allclose(answers.upsample_conv1d(x, w), expected)
    np.testing.assert_allclose(answers.upsample_conv1d(x[:1], w)[0], x[0] @ (w[1] + w[2]))


def test_upsample_conv1d_is_cheap(answers: Any) -> None:
    rng = np.random.default_rng(3)
    _Counted.rows = 0
    answers.upsample_conv1d(
        rng.normal(size=(6, 3)).view(_Counted), rng.normal(size=(3, 3, 2)).view(_Counted)
    )
    assert _Counted.rows == 3 * 6, "three products for each pixel, of @"
