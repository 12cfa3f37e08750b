"""Solutions of lesson 12."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import kernels
from minidl.device import Device


def swish(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """By the product rule, s + x s (1 - s)."""
    s = kernels.sigmoid(x)
    return x * s, lambda g: g * s * (1 + x * (1 - s))


def move(batch: Any, place: Device) -> Any:
    """A container is one of moved parts; what is no array stays."""
    if isinstance(batch, dict):
        return {name: move(part, place) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(move(part, place) for part in batch)
    return place.put(batch) if hasattr(batch, "dtype") else batch


def finished(asks: Sequence[float], works: Sequence[float], graph: bool) -> float:
    """Two clocks: Python's, and the GPU's."""
    asked = free = 0.0
    for number, (ask, work) in enumerate(zip(asks, works, strict=True)):
        if number == 0 or not graph:
            asked += ask
        free = max(asked, free) + work
    return free


def _in_place(batch: Any, place: Device) -> Any:
    if isinstance(batch, dict):
        for name, part in batch.items():
            batch[name] = _in_place(part, place)
        return batch
    return move(batch, place)


def _one_level(batch: Any, place: Device) -> Any:
    if isinstance(batch, dict):
        return {name: place.put(part) for name, part in batch.items()}
    return move(batch, place)


# What the tests must not let pass.
MISTAKES: dict[str, list[Any]] = {
    "swish": [
        lambda x: (swish(x)[0], lambda g: g * kernels.sigmoid(x)),
        lambda x: (swish(x)[0], lambda g: swish(x)[1](np.ones_like(g))),
        lambda x: (np.maximum(x, 0), lambda g: g * (x > 0)),
    ],
    "move": [_in_place, _one_level, lambda batch, place: batch],
    "finished": [
        lambda asks, works, graph: sum(asks) + sum(works),
        lambda asks, works, graph: max(sum(asks[: 1 if graph else None]), sum(works)),
        lambda asks, works, graph: finished(asks, works, False),
    ],
}
