"""Statistics of channels, and what batch normalisation makes of them.

CuPy gives each output of a sum to one block of threads at most, which for the few channels of a
large batch leaves most of the device idle. A sum over a channel therefore goes in two steps, of
about as many rows each. Partial sums also keep float32 exact enough. The functions use nothing but
the arrays' own protocol, and run on NumPy's arrays too.
"""

from __future__ import annotations

import math

from ...device import Array


def channel_sum(x: Array) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    parts = max(1, math.isqrt(len(rows)))
    whole = len(rows) // parts * parts
    total = rows[:whole].reshape(-1, parts, rows.shape[1]).sum(axis=0).sum(axis=0)
    if whole < len(rows):
        total += rows[whole:].sum(axis=0)
    return total


def moments(x: Array) -> tuple[Array, Array]:
    count = math.prod(x.shape[:-1])
    mean = channel_sum(x) / count
    d = x - mean
    d *= d
    return mean, channel_sum(d) / count


def normalize(x: Array, mean: Array, scale: Array, shift: Array) -> Array:
    y = x - mean
    y *= scale
    y += shift
    return y


def channel_sums(g: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    weighted = x - mean
    weighted *= g
    return channel_sum(g), channel_sum(weighted)


def batch_norm_grad(g: Array, x: Array, mean: Array, scale: Array, a: Array, b: Array) -> Array:
    dx = x - mean
    dx *= -b
    dx += g
    dx -= a
    dx *= scale
    return dx
