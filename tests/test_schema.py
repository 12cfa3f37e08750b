"""Descriptions: valid ones are read, all others are refused in one line before use."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np
import pytest

from minidl import nn, schema
from minidl.nn.init import Zeros
from minidl.schema import OneOf, Range, SchemaError


@dataclass(frozen=True)
class Round:
    kind: Annotated[str, OneOf("round")] = field(default="round", init=False)
    radius: Annotated[float, Range(0, 10, above=True)]

    def __post_init__(self) -> None:
        schema.check(self)


@dataclass(frozen=True)
class Square:
    kind: Annotated[str, OneOf("square")] = field(default="square", init=False)
    side: Annotated[int, Range(1, 9)] = 3

    def __post_init__(self) -> None:
        schema.check(self)


@dataclass(frozen=True)
class Plan:
    shape: Round | Square
    sizes: Annotated[tuple[Annotated[int, Range(1, 99)], ...], Range(1, 3)]
    share: Annotated[float | None, Range(0, 1, below=True)] = 0.5
    on: bool = False
    name: str = "a"

    def __post_init__(self) -> None:
        schema.check(self)


PLAN: dict[str, Any] = {"shape": {"kind": "square", "side": 2}, "sizes": [1, 2]}


def test_what_fits_is_read() -> None:
    assert schema.read(Plan, PLAN, "plan") == Plan(Square(2), (1, 2))
    plan = Plan(Round(2), (5,), None, True, "ü")
    assert schema.read(Plan, json.loads(json.dumps(asdict(plan))), "plan") == plan
    assert schema.read(Plan, asdict(plan), "plan") == plan
    of_numpy: Any = np.float32(0.25)
    assert Plan(Square(), (1,), of_numpy) == Plan(Square(3), (1,), 0.25)
    assert schema.read_part(Square, {"kind": "square", "side": 4, "more": 1}, "a") == Square(4)


NO_PLAN = [
    (3, "plan is 3; expected names and values"),
    (None, "plan is None; expected names and values"),
    ([PLAN], "expected names and values"),
    ({}, "plan has no 'shape'"),
    ({**PLAN, "hue": 1}, "plan has an unknown 'hue'"),
    ({**PLAN, "sizes": []}, r"plan.sizes is \[\]; expected a list of length from 1 to 3"),
    ({**PLAN, "sizes": [1] * 4}, "expected a list of length from 1 to 3"),
    ({**PLAN, "sizes": 3}, "plan.sizes is 3; expected a list"),
    ({**PLAN, "sizes": "ab"}, "plan.sizes is 'ab'; expected a list"),
    ({**PLAN, "sizes": [1, 0]}, r"plan.sizes\[1\] is 0; expected a whole number from 1 to 99"),
    ({**PLAN, "sizes": [True]}, r"plan.sizes\[0\] is True; expected a whole number"),
    ({**PLAN, "sizes": [1.0]}, r"plan.sizes\[0\] is 1.0; expected a whole number"),
    ({**PLAN, "sizes": [10**400]}, "expected a whole number from 1 to 99"),
    ({**PLAN, "share": float("nan")}, "plan.share is nan; expected a number"),
    ({**PLAN, "share": float("inf")}, "plan.share is inf; expected a number"),
    ({**PLAN, "share": 10**400}, "expected a number"),
    ({**PLAN, "share": 1}, "plan.share is 1; expected a value from 0 to below 1"),
    ({**PLAN, "share": "1"}, "plan.share is '1'; expected a number"),
    ({**PLAN, "share": True}, "plan.share is True; expected a number"),
    ({**PLAN, "on": 1}, "plan.on is 1; expected true or false"),
    ({**PLAN, "name": 1}, "plan.name is 1; expected a text"),
    ({**PLAN, "name": None}, "plan.name is None; expected a text"),
    ({**PLAN, "shape": {"kind": "round"}}, "plan.shape"),
    ({**PLAN, "shape": {"kind": "flat", "side": 2}}, "kind is 'flat'; expected square"),
    (
        {**PLAN, "shape": {"kind": "round", "radius": 0}},
        "radius is 0; expected a number above 0 and at most 10",
    ),
    ({**PLAN, "shape": {"kind": 3, "radius": 1}}, "plan.shape.kind is 3; expected a text"),
    ({**PLAN, "shape": None}, "plan.shape is None; expected names"),
    ({**PLAN, "name": ["x" * 10**6]}, "expected a text"),
]


@pytest.mark.parametrize(("values", "words"), NO_PLAN, ids=range(len(NO_PLAN)))
def test_what_does_not_fit_is_refused(values: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words) as caught:
        schema.read(Plan, values, "plan")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_what_python_makes_is_held_to_the_same() -> None:
    with pytest.raises(SchemaError, match=r"square\.side is 10; expected a whole number from 1"):
        Square(10)
    with pytest.raises(SchemaError, match=r"plan\.shape is 3; expected names"):
        Plan(3, (1,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 10**5, '{"a":' * 10**5, '{"a": 1, "a": 2}', "1" * 5000, "{'a': 1}", "nul"],
    ids=range(8),
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema.parse(text)
    assert "\n" not in str(caught.value)


def test_zeros_stand_in_for_chance_until_a_file_is_used_up() -> None:
    state = nn.Linear(3, 4, rng=np.random.default_rng(0)).state()
    layer = nn.Linear(3, 4, rng=Zeros.for_state(state))
    assert not layer.w.data.any() and layer.w.data.dtype == np.float32
    for inputs in (5, 6, 10**12):  # the last one is too large for any memory
        with pytest.raises(ValueError, match="of more parameters than the file has"):
            nn.Linear(inputs, 4, rng=Zeros.for_state(state))
    convolution = nn.Conv2D(3, 4, kernel_size=3, std=0.1, rng=Zeros(3 * 4 * 9))
    assert not convolution.w.data.any()
