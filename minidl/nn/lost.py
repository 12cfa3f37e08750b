"""Search for modules and parameters where `Module` does not look. They would not be trained."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

PLAIN = frozenset({int, float, bool, complex, str, bytes, type(None)})
CLOSED: tuple[type, ...] = (  # what is defined or pointed to, rather than held
    type, ModuleType, FunctionType, MethodType, BuiltinFunctionType,
    weakref.ReferenceType, *weakref.ProxyTypes,
)  # fmt: skip


def lost_in(
    attributes: dict[str, Any], kinds: tuple[type, ...], known: set[int]
) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, kind of container, object) for each object of these kinds that is, at any depth,
    in a container other than a list or tuple.

    known: the ids of objects that are not searched. The function adds those that it has searched.
    """

    def new(value: Any) -> bool:
        return type(value) not in PLAIN and id(value) not in known

    todo = deque((name, "", value) for name, value in attributes.items() if new(value))
    while todo:
        path, container, value = todo.popleft()
        if not new(value):
            continue
        known.add(id(value))
        if isinstance(value, kinds):
            if container:
                yield path, container, value
            continue
        inside = container if isinstance(value, list | tuple) else type(value).__name__
        todo += ((f"{path}{at}", inside, element) for at, element in _elements(value))


def _elements(value: Any) -> Iterable[tuple[str, Any]]:
    """Yield (place, element) for each element of a container or attribute of an object."""
    if isinstance(value, dict | MappingProxyType):
        yield from ((f"[{key!r}]", element) for key, element in value.items())
        yield from ((".keys", key) for key in value)
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((f".{i}", element) for i, element in enumerate(value))
    elif hasattr(value, "dtype"):
        if value.dtype == object:
            yield from ((f".{i}", element) for i, element in enumerate(value.flat))
    elif type(value) not in CLOSED and not isinstance(value, type):
        fields = getattr(value, "__dataclass_fields__", ())  # also of one with slots
        held = getattr(value, "__dict__", {})
        names = {*held, *(name for name in fields if hasattr(value, name))}
        yield from ((f".{name}", held.get(name, getattr(value, name, None))) for name in names)
