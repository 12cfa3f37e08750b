"""Exercises of lesson 12. Test your answers with `pytest -m lesson12`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.device import Device


def swish(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The op x sigmoid(x), element by element: its value, and its gradient function.

    The test lifts it with `minidl.op` and checks it as the library's own ops are checked.
    """
    raise NotImplementedError


def move(batch: Any, place: Device) -> Any:
    """The same batch with all its arrays on a device, by place.put.

    A batch is an array, or a list, a tuple or a dictionary of batches, as deep as one likes; None,
    numbers and texts stay as they are. The batch given is not changed.
    """
    raise NotImplementedError


def finished(asks: Sequence[float], works: Sequence[float], graph: bool) -> float:
    """When the last of some launches is done, in microseconds, as in the lesson's timelines.

    asks: how long Python needs to ask for each, one after the other, without waiting for the GPU.
    works: how long the GPU needs for each; it begins when it was asked for and all before it are
    done. With a graph, Python asks once, for as long as the first launch takes, and all are asked
    for then.
    """
    raise NotImplementedError
