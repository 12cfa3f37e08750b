"""Tests of the exercises of lesson 12."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradcheck, op, ops
from minidl.device import Device
from minidl.tensor import OPS


def test_swish(answers: Any) -> None:
    def swish_of_yours(x: np.ndarray) -> Any:
        return answers.swish(x)

    try:
        lifted = op(swish_of_yours)
    finally:
        OPS.pop("swish_of_yours", None)  # restore the table of the library's ops
    x = Tensor(np.random.default_rng(0).normal(size=(3, 4)))
    np.testing.assert_allclose(lifted(x).data, (x * ops.sigmoid(x)).data)
    assert gradcheck.check(lifted, [x], rng=np.random.default_rng(1)) < gradcheck.TOLERANCE


class Mark(Device):
    """A device that negates its arrays, which shows the arrays that were moved."""

    def __init__(self) -> None:
        super().__init__("cpu", np)

    def put(self, array: Any) -> Any:
        assert isinstance(array, np.ndarray), f"put is for arrays, not for {array!r}"
        return -array


def test_move(answers: Any) -> None:
    batch: dict[str, Any] = {
        "x": np.ones(2),
        "more": [np.full(3, 2.0), (np.full(1, 3.0), {"deep": np.full(1, 4.0)})],
        "name": "cat", "count": 7, "nothing": None,
    }  # fmt: skip
    moved = answers.move(batch, Mark())
    x, more = moved["x"], moved["more"]
    assert (x.tolist(), more[0].tolist(), more[1][0].tolist()) == ([-1, -1], [-2] * 3, [-3])
    assert more[1][1]["deep"].tolist() == [-4]
    assert (moved["name"], moved["count"], moved["nothing"]) == ("cat", 7, None)
    assert isinstance(more, list) and isinstance(more[1], tuple)
    assert batch["x"].tolist() == [1, 1] and batch["more"][0].tolist() == [2] * 3, "changed"
    assert answers.move(np.ones(1), Mark()).tolist() == [-1]


@pytest.mark.parametrize(
    ("asks", "works", "graph", "expected"),
    [
        ([10] * 12, [25] * 12, False, 310),
        ([10] * 12, [3] * 12, False, 123),
        ([10] * 12, [3] * 12, True, 46),
        ([5, 1, 1], [1, 20, 2], False, 28),  # waits for Python, then Python is ahead
        ([1, 1, 10], [8, 1, 3], False, 15),
        ([7], [2], True, 9),
        ([], [], False, 0),
    ],
)
def test_finished(answers: Any, asks: Any, works: Any, graph: bool, expected: float) -> None:
    assert answers.finished(asks, works, graph) == expected
