"""Numbers so small that they are worth nothing and cost a lot.

Below the smallest normal number, 1.2e-38 in float32, lie the subnormal ones, at which processors
take many times as long. Units that saturate make them by the thousand: a step of
a network of ours with a seventh of one layer's gradients subnormal took 364 ms instead of 25. So
the kernels that make such numbers give 0 instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..device import Array


def underflow_threshold(dtype: DTypeLike) -> float:
    """The root of the smallest normal number: the product of two smaller ones is subnormal.

    1.1e-19 in float32, 1.5e-154 in float64.
    """
    return float(np.finfo(dtype).tiny ** 0.5)


def flush_to_zero(x: Array, limit: float) -> Array:
    """x, with 0 for what is nearer to it than limit."""
    return np.where(np.abs(x) < limit, np.zeros_like(x), x)
