"""When memory was last changed in place: no gradient may be taken of numbers that are gone.

A gradient function holds the arrays that its op saw, not copies of them. If a step changes one of
them between a loss and its gradients, the result is true neither before the step nor after it. So
each change in place is written down with its time, by the memory that an array lies in, and
`gradients` compares it with the time of the op. Two tensors over one array, or over parts of it,
are one memory.

Time is counted in tensors and changes. A change that nobody writes down (x.data[0] = 1) is not
seen.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from .device import Array

clock = itertools.count(1)  # next(clock): the time now, later than all times before

_changes: dict[int, tuple[int, Any]] = {}  # id of memory -> last change, what forgets it


def changed(arrays: Iterable[Array]) -> None:
    """Write down that the numbers of these arrays have just been changed in place."""
    now = next(clock)
    for array in arrays:
        memory = _memory(array)
        key = id(memory)
        known = _changes.get(key)
        _changes[key] = now, known[1] if known else weakref.ref(memory, partial(_forget, key))


def watch(arrays: Iterable[Array]) -> tuple[Any, ...]:
    """The memory of each array, for `changed_since`; it is not kept alive."""
    return tuple(weakref.ref(_memory(a)) if hasattr(a, "base") else _gone for a in arrays)


def changed_since(time: int, watched: tuple[Any, ...]) -> int | None:
    """Which of what `watch` returned was changed after `time`: its place; None if none was."""
    for i, memory in enumerate(watched):
        last = _changes.get(id(memory()))
        if last is not None and last[0] > time:
            return i
    return None


def _memory(array: Array) -> Array:
    """The array that this one is a view of, or itself."""
    while type(array.base) in (type(array), np.ndarray):
        array = array.base
    return array


def _forget(key: int, _: Any) -> None:
    _changes.pop(key, None)


def _gone() -> None:
    """Stand in for a weak reference to an object that no longer exists."""
