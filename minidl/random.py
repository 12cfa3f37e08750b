"""Generators of random numbers on both devices, and their states.

A generator of the CPU is NumPy's own. A generator of the GPU is `kernels.gpu.philox.Generator`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .device import CPU, Device


def generator(seed: int, device: Device = CPU) -> Any:
    """Return a generator whose numbers are arrays of the device. Equal seeds, equal numbers."""
    if device.name == "cpu":
        return np.random.default_rng(seed)
    from .kernels.gpu import philox

    return philox.Generator(seed)


def follow(rng: np.random.Generator, device: Device) -> Any:
    """Return a generator of the device whose numbers follow from the state of `rng`.

    On the CPU it is `rng` itself; on the GPU a number drawn from `rng` seeds it. So a checkpoint
    needs the state of `rng` alone.
    """
    return rng if device.name == "cpu" else generator(int(rng.integers(2**62)), device)


def get_state(rng: np.random.Generator) -> str:
    """Return the whole state of a NumPy generator as text, for a checkpoint."""
    return json.dumps(rng.bit_generator.state)


def set_state(rng: np.random.Generator, state: str) -> None:
    """Restore a state that `get_state` returned.

    Raises ValueError if the text is not the state of such a generator.
    """
    try:
        rng.bit_generator.state = json.loads(state)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a generator's state ({error})") from error
