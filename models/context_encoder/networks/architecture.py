"""An architecture: a generator and a discriminator that are trained together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidl import nn

Layers = list[nn.Module]
Channels = Callable[[int], int]  # from a number of channels at width 1 to the number at this width


def channels(width: float) -> Channels:
    """Return the function that multiplies numbers of channels by `width`, to at least 1."""
    return lambda count: max(1, round(count * width))


@dataclass(frozen=True)
class Architecture:
    """A pair of networks: `size` pixels in, `hole` pixels out, and the functions that build them.

    Both functions are called with (channels, rng, full_image). If `full_image`, the generator
    predicts the whole picture instead of a square. If `prefilled`, it expects the hole filled with
    a smooth surface (see laplace.py) instead of one colour. `name` stands in model files.
    """

    name: str
    size: int
    hole: int
    generator: Callable[[Channels, np.random.Generator, bool], nn.Module]
    discriminator: Callable[[Channels, np.random.Generator, bool], nn.Module]
    prefilled: bool = False
