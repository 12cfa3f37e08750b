"""Solutions of lesson 12."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import kernels
from minidl.device import Device


def swish(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The product rule gives s + x s (1 - s)."""
    s = kernels.sigmoid(x)
    return x * s, lambda g: g * s * (1 + x * (1 - s))


def move(batch: Any, device: Device) -> Any:
    """Move the parts of a container; anything else but arrays stays."""
    if isinstance(batch, dict):
        return {name: move(part, device) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(move(part, device) for part in batch)
    return device.put(batch) if hasattr(batch, "dtype") else batch


def finished(asks: Sequence[float], works: Sequence[float], graph: bool) -> float:
    """Keep two clocks, Python's and the GPU's."""
    asked = free = 0.0
    for number, (ask, work) in enumerate(zip(asks, works, strict=True)):
        if number == 0 or not graph:
            asked += ask
        free = max(asked, free) + work
    return free


def _in_place(batch: Any, device: Device) -> Any:
    if isinstance(batch, dict):
        for name, part in batch.items():
            batch[name] = _in_place(part, device)
        return batch
    return move(batch, device)


def _one_level(batch: Any, device: Device) -> Any:
    if isinstance(batch, dict):
        return {name: device.put(part) for name, part in batch.items()}
    return move(batch, device)


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "swish": [
        lambda x: (swish(x)[0], lambda g: g * kernels.sigmoid(x)),
        lambda x: (swish(x)[0], lambda g: swish(x)[1](np.ones_like(g))),
        lambda x: (np.maximum(x, 0), lambda g: g * (x > 0)),
    ],
    "move": [_in_place, _one_level, lambda batch, device: batch],
    "finished": [
        lambda asks, works, graph: sum(asks) + sum(works),
        lambda asks, works, graph: max(sum(asks[: 1 if graph else None]), sum(works)),
        lambda asks, works, graph: finished(asks, works, False),
    ],
}
