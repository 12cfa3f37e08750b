"""Batch normalisation. Channels are the last axis; statistics are over all others."""

from __future__ import annotations

import math

import numpy as np

from .. import kernels
from ..device import Array
from ..lift import op
from ..tensor import Tensor
from .vjp import ValueAndVJPs, shared


def moments(x: Tensor | Array, *, slope: float = 1.0) -> tuple[Array, Array]:
    """The mean and the variance (mean square) of each channel of leaky_relu(x, slope), x being
    (..., C): arrays (C,).

    Not an op: plain numbers, of which no gradient is taken.
    """
    return kernels.moments(x.data if isinstance(x, Tensor) else x, slope)


def _check(x: Array, **of_channels: Array) -> None:
    for name, array in of_channels.items():
        if array.shape != x.shape[-1:]:
            raise ValueError(f"x has {x.shape[-1]} channels, {name} is {array.shape}")
        if array.dtype != x.dtype:
            raise ValueError(f"x is {x.dtype}, {name} is {array.dtype}")


@op
def batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    *,
    eps: float = 1e-5,
    batch_moments: tuple[Array, Array] | None = None,
    slope: float = 1.0,
) -> ValueAndVJPs:
    """gamma (u - mean) / sqrt(variance + eps) + beta, by the mean and variance of the batch's own u
    (Ioffe & Szegedy 2015). x (N, C) or (N, H, W, C); gamma, beta (C,).

    u is x or, with a slope, leaky_relu(x, slope) in the same passes over memory. batch_moments:
    `moments(x, slope=slope)`, where the caller has them already.
    """
    mean, variance = kernels.moments(x, slope) if batch_moments is None else batch_moments
    _check(x, gamma=gamma, beta=beta, mean=mean, variance=variance)
    rows = math.prod(x.shape[:-1])
    if rows == 1:
        raise ValueError(
            f"x is {x.shape}: one value of each channel has no variance; take a larger batch, or"
            " statistics that are given (in a layer: train(False))"
        )
    r = 1 / np.sqrt(variance + eps)

    @shared
    def sums(g: Array) -> tuple[Array, Array]:  # of g, of g (u - mean)
        return kernels.batch_norm_sums(g, x, mean, slope)

    def grad_x(g: Array) -> Array:
        total, weighted = sums(g)
        return kernels.batch_norm_grad(
            g, x, mean, gamma * r, total / rows, weighted * (r * r) / rows, slope
        )

    y = kernels.normalize(x, mean, gamma * r, beta, slope)
    return y, grad_x, lambda g: sums(g)[1] * r, lambda g: sums(g)[0]


@op
def normalize(
    x: Array,
    gamma: Array,
    beta: Array,
    *,
    mean: Array,
    variance: Array,
    eps: float = 1e-5,
    slope: float = 1.0,
) -> ValueAndVJPs:
    """gamma (u - mean) / sqrt(variance + eps) + beta, by a given mean and variance: batch
    normalisation in use. x (..., C), all others (C,); u as in `batch_norm`."""
    _check(x, gamma=gamma, beta=beta, mean=mean, variance=variance)
    r = 1 / np.sqrt(variance + eps)
    return (
        kernels.normalize(x, mean, gamma * r, beta, slope),
        lambda g: kernels.leaky_relu_grad(g * (gamma * r), x, slope),
        lambda g: kernels.batch_norm_sums(g, x, mean, slope)[1] * r,
        kernels.channel_sum,
    )
