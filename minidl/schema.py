"""Descriptions from files, checked before anything is made of them.

A dataclass is the schema. Its annotations say what a field may be: bool, int, float, str,
tuple[X, ...], X | None, another dataclass, one of several. `Annotated[int, Range(1, 64)]` limits a
number or a tuple's length, `Annotated[str, OneOf("a", "b")]` a text. A field that `__init__` does
not take, with one text as its default, tells one dataclass from another. `check(self)` in a
`__post_init__` holds values made in Python to them, `read` those from JSON; both raise SchemaError,
a ValueError of one line.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import reprlib
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class SchemaError(ValueError):
    """A value that does not fit its description."""


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both allowed, unless `above` or `below` says that one is not."""

    low: float
    high: float
    above: bool = False  # low itself is not allowed
    below: bool = False  # high itself is not allowed

    def holds(self, value: float) -> bool:
        lower = self.low < value if self.above else self.low <= value
        return lower and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        if self.above:
            return f"above {self.low:g} and {'below' if self.below else 'at most'} {self.high:g}"
        return f"from {self.low:g} to {'below ' if self.below else ''}{self.high:g}"


class OneOf:
    """One of a few texts."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def holds(self, value: str) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return " or ".join(self.values)


def parse(text: str) -> Any:
    """JSON's values. Raises SchemaError for a name that is given twice, for what is nested too
    deep, and for anything that is no JSON."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise SchemaError("JSON that is nested too deep") from None
    except ValueError as error:
        raise SchemaError(str(error)) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("JSON with a name that is given twice")
    return found


def read(kind: Any, value: Any, name: str) -> Any:
    """A value of JSON's as one of this kind, a dataclass or any other annotation; lists as tuples.
    name: what it is called in errors."""
    return _value(kind, value, name)


def read_part(cls: type[T], values: Any, name: str) -> T:
    """The dataclass `cls` of JSON's values, among which there may be others; they are passed
    over."""
    part: T = _dataclass(cls, values, name, more=True)
    return part


def _dataclass(cls: Any, values: Any, name: str, more: bool = False) -> Any:
    if not isinstance(values, dict):
        raise SchemaError(f"{name} is {reprlib.repr(values)}; expected names and values")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    odd = sorted(values.keys() - fields.keys())
    if odd and not more:
        raise SchemaError(f"{name} has an unknown {reprlib.repr(odd[0])}")
    missing = [key for key in _required(cls) if key not in values]
    if missing:
        raise SchemaError(f"{name} has no {missing[0]!r}")
    kinds = _kinds(cls)
    given = {
        key: _value(kinds[key], values[key], f"{name}.{key}") for key in fields if key in values
    }
    return cls(**{key: value for key, value in given.items() if fields[key].init})


def check(instance: Any) -> None:
    """Raise SchemaError unless every field of a dataclass instance fits its annotation."""
    cls: Any = type(instance)
    name = cls.__name__.lower()
    for key, kind in _kinds(cls).items():
        _value(kind, getattr(instance, key), f"{name}.{key}")


@functools.cache
def _kinds(cls: Any) -> dict[str, Any]:
    """{field: its annotation} of a dataclass."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _required(cls: type) -> list[str]:
    """The fields without a default, and those that tell a kind: what __init__ does not take."""
    absent = dataclasses.MISSING
    return [
        f.name
        for f in dataclasses.fields(cls)
        if not f.init or (f.default is absent and f.default_factory is absent)
    ]


def _value(kind: Any, value: Any, name: str) -> Any:
    """The value of an annotation's kind, lists as tuples. Raises SchemaError."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        found, limits = _value(inner[0], value, name), inner[1]
        size = len(found) if isinstance(found, tuple) else found
        if size is not None and not limits.holds(size):
            what = "" if isinstance(limits, OneOf) else f"{_said(inner[0])} "
            raise _misfit(name, value, f"{what}{limits}")
        return found
    if origin in (Union, UnionType):
        if NoneType not in inner:
            return _value(_chosen(inner, value), value, name)
        return None if value is None else _value(inner[0], value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _misfit(name, value, "a list")
        return tuple(_value(inner[0], each, f"{name}[{i}]") for i, each in enumerate(value))
    if dataclasses.is_dataclass(kind):
        made: Any = kind
        return value if isinstance(value, made) else _dataclass(made, value, name)
    fits = {
        bool: isinstance(value, bool),
        int: isinstance(value, Integral) and not isinstance(value, bool),
        float: isinstance(value, Real) and not isinstance(value, bool) and _finite(value),
        str: isinstance(value, str),
    }
    if not fits[kind]:
        raise _misfit(name, value, _said(kind))
    return value


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _chosen(kinds: tuple[Any, ...], value: Any) -> Any:
    """The first dataclass whose fields a dict's names are, or else the first."""
    if isinstance(value, dict):
        for kind in kinds:
            if set(_required(kind)) <= value.keys() <= _kinds(kind).keys():
                return kind
    return next((kind for kind in kinds if type(value) is kind), kinds[0])


def _said(kind: Any) -> str:
    origin = get_origin(kind)
    return "a list of length" if origin is tuple else _WORDS.get(kind, "a value")


def _misfit(name: str, value: Any, expected: str) -> SchemaError:
    return SchemaError(f"{name} is {reprlib.repr(value)}; expected {expected}")
