"""Matrix products, and dropping units."""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..device import Array
from ..lift import op
from .sums import summed
from .vjp import ValueAndVJPs


@op
def matmul(a: Array, b: Array) -> ValueAndVJPs:
    """a (N, K), b (K, M) -> (N, M)."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"expected (N, K) and (K, M), got {a.shape} and {b.shape}")
    return kernels.matmul(a, b), lambda g: kernels.matmul(g, b.T), lambda g: kernels.matmul(a.T, g)


@op
def linear(x: Array, w: Array, b: Array) -> ValueAndVJPs:
    """x (N, I), w (I, O), b (O,) -> x w + b (N, O)."""
    if w.ndim != 2:
        raise ValueError(f"w is {w.shape}, expected (I, O)")
    if x.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ValueError(f"x is {x.shape}, w expects (N, {w.shape[0]})")
    if np.shape(b) != w.shape[1:]:
        raise ValueError(f"b is {np.shape(b)}, w expects {w.shape[1:]}")
    return (
        kernels.matmul(x, w, b),
        lambda g: kernels.matmul(g, w.T),
        lambda g: kernels.matmul(x.T, g),
        kernels.channel_sum,
    )


@op
def channelwise_linear(x: Array, w: Array, b: Array) -> ValueAndVJPs:
    """x (N, H, W, C), w (C, H W, H W), b (C, H W) -> (N, H, W, C): every feature map a linear layer
    of its own, no weights across maps (Pathak et al. 2016, section 3.1)."""
    if x.ndim != 4:
        raise ValueError(f"x is {x.shape}, expected (N, H, W, C)")
    N, H, W, C = x.shape
    P = H * W
    if w.shape != (C, P, P) or b.shape != (C, P):
        raise ValueError(
            f"x has {C} maps of {H}x{W}, so w must be {(C, P, P)} and b {(C, P)},"
            f" not {w.shape} and {b.shape}"
        )

    def by_map(pictures: Array) -> Array:  # (N, H, W, C) -> (C, N, P)
        return pictures.reshape(N, P, C).transpose(2, 0, 1).copy()

    def by_picture(maps: Array) -> Array:  # and back
        return maps.transpose(1, 2, 0).reshape(N, H, W, C)

    maps = by_map(x)
    return (
        by_picture(kernels.matmul(maps, w) + b[:, None]),
        lambda g: by_picture(kernels.matmul(by_map(g), w.transpose(0, 2, 1))),
        lambda g: kernels.matmul(maps.transpose(0, 2, 1), by_map(g)),
        lambda g: summed(g.reshape(N, P, C), 0).T,
    )


@op
def dropout(x: Array, *, mask: Array, keep: float) -> ValueAndVJPs:
    """x / keep where mask is True, 0 elsewhere: the mean stays x where keep of the mask is True.

    mask: booleans of x's shape, on x's device (Srivastava et al. 2014).
    """
    if mask.shape != x.shape or mask.dtype != bool:
        raise ValueError(f"the mask is {mask.shape} {mask.dtype}, expected {x.shape} booleans")
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}, expected 0 < keep <= 1")
    scale = x.dtype.type(1) / keep
    return np.where(mask, x * scale, 0), lambda g: np.where(mask, g * scale, 0)
