"""Tests of the exercises of lesson 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor, losses, op, ops
from minidl.tensor import OPS


def _op(forward: Any) -> Any:
    """Return an op that is not added to the table of the library's ops."""
    before = dict(OPS)
    lifted = op(forward)
    OPS.clear()
    OPS.update(before)
    return lifted


def test_numeric_gradient(answers: Any) -> None:
    rng = np.random.default_rng(0)
    x, c = rng.uniform(0.5, 2, (3, 4)), rng.normal(size=(3, 4))
    before = x.copy()
    slopes = answers.numeric_gradient(lambda x: float((c * x**3).sum()), x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(slopes, 3 * c * x**2, rtol=1e-7, atol=1e-8)


def test_is_right(answers: Any) -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
    assert answers.is_right(ops.linear, [x, w, b])
    assert answers.is_right(ops.multiply, [x, rng.normal(size=4)])

    def softmax(gradient: Any) -> Any:
        def forward(x: np.ndarray) -> Any:
            e = np.exp(x - x.max(axis=-1, keepdims=True))
            s = e / e.sum(axis=-1, keepdims=True)
            return s, lambda g: gradient(g, s)

        return _op(forward)

    assert answers.is_right(softmax(lambda g, s: s * (g - (g * s).sum(-1, keepdims=True))), [x])
    assert not answers.is_right(softmax(lambda g, s: g * 0), [x])
    assert not answers.is_right(softmax(lambda g, s: s * (g - g.mean(-1, keepdims=True))), [x])
    assert not answers.is_right(_op(lambda x: (x**3, lambda g: 3.003 * g * x**2)), [x])
    assert not answers.is_right(_op(lambda a, b: (a + b, lambda g: g, lambda g: g[0])), [x, x[0]])


def test_direction_error(answers: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    parameters = [Tensor(rng.normal(size=shape)) for shape in [(4, 5), (5,), (5, 2), (2,)]]
    before = [p.data.copy() for p in parameters]

    def network(layer: Any) -> Tensor:
        w1, b1, w2, b2 = parameters
        return losses.mean_squared_error(layer(ops.tanh(layer(x, w1, b1)), w2, b2), y)

    wrong = _op(lambda x, w, b: (x @ w + b, lambda g: g @ w.T, lambda g: x.T @ g, lambda g: g[0]))
    for seed in range(3):
        direction = np.random.default_rng(seed)
        assert answers.direction_error(lambda: network(ops.linear), parameters, direction) < 1e-6
        assert answers.direction_error(lambda: network(wrong), parameters, direction) > 1e-4
    for p, value in zip(parameters, before, strict=True):
        np.testing.assert_allclose(p.data, value, atol=1e-12)
