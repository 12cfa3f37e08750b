"""Tests of the exercises of lesson 11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def test_attainable(answers: Any) -> None:
    """A machine of 100 operations and 10 bytes a second: its roof has its edge at 10."""
    for operations, moved, seconds, rate, bound in [
        (10, 10, 1, 10, "memory"),
        (1000, 10, 10, 100, "arithmetic"),
        (50, 20, 2, 25, "memory"),
        (100, 10, 1, 100, "arithmetic"),
    ]:
        found = answers.attainable(operations, moved, 100, 10)
        assert found[:2] == pytest.approx((seconds, rate))
        assert found[2] == bound


@pytest.mark.parametrize("sizes", [(8, 8, 8), (7, 9, 5), (3, 20, 1), (1, 1, 1)])
def test_blocked_matmul(answers: Any, sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    (m, k, n), tile = sizes, 4
    a, b = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    calls = []

    def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        calls.append((left.shape, right.shape))
        return left @ right

    y = answers.blocked_matmul(a, b, tile, multiply)
    np.testing.assert_allclose(y, a @ b, rtol=1e-4, atol=1e-5)
    assert y.dtype == np.float32
    assert all(max(*left, *right) <= tile for left, right in calls), "a tile is too large"
    assert sum(l[0] * l[1] * r[1] for l, r in calls) == m * k * n, "products too many or too few"


@pytest.mark.parametrize(("n", "grid", "block"), [(10, 3, 4), (100, 2, 8), (5, 4, 8), (0, 2, 2)])
def test_share(answers: Any, n: int, grid: int, block: int) -> None:
    everyone = [answers.share(n, grid, block, b, t) for b in range(grid) for t in range(block)]
    assert sorted(i for mine in everyone for i in mine) == list(range(n))
    for moment in range(-(-n // (grid * block))):  # what all threads do at the same time
        now = [mine[moment] for mine in everyone if len(mine) > moment]
        assert now == list(range(now[0], now[0] + len(now))), "neighbours side by side"
