"""Exercises of lesson 12. Test your answers with `pytest -m lesson12`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.device import Device


def swish(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the value of x sigmoid(x), element by element, and its gradient function.

    The test makes it an op by `minidl.op`, and checks it like the library's own ops.
    """
    raise NotImplementedError


def move(batch: Any, device: Device) -> Any:
    """Return the same batch with all its arrays on a device, by device.put.

    A batch is an array, or a list, a tuple or a dictionary of batches, nested to any depth. None,
    numbers and texts stay as they are. Do not change `batch`.
    """
    raise NotImplementedError


def finished(asks: Sequence[float], works: Sequence[float], graph: bool) -> float:
    """Return the time at which the last launch is done, in microseconds, as in the timelines.

    asks: the time that Python needs to request each launch, without waiting for the GPU. works: the
    time that the GPU needs for each launch; it begins after its request and after the launches
    before it. With a graph, Python makes one request, as long as the first of asks, for all.
    """
    raise NotImplementedError
