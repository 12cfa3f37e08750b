"""Losses: compositions of ops, each a Tensor of one number.

Two conventions of the squared error are in use, and the difference is a factor of half the pixels
of a sample: take the wrong one and every penalty beside it weighs a hundred times too much. They
have two names here, so that the choice is seen. An empty batch raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import ops
from .device import Array
from .tensor import Tensor, listed


def half_squared_error(prediction: Tensor, target: Tensor | Array) -> Tensor:
    """1/N sum_i 1/2 |y_i - y^_i|^2: half the **sum** over a sample's elements, the **mean** over
    samples.

    prediction, target: (N, ...). The convention of papers and textbooks (Xie et al. 2012, eq. 6).
    It is elements / 2 times `mean_squared_error`.
    """
    _check("half_squared_error", prediction, target)
    return ops.squared_distance(prediction, target) * (0.5 / prediction.shape[0])


def mean_squared_error(prediction: Tensor, target: Tensor | Array) -> Tensor:
    """The **mean** of (y - y^)^2 over all elements of all samples: what Keras calls "mse"."""
    _check("mean_squared_error", prediction, target)
    return ops.squared_distance(prediction, target) * (1 / math.prod(prediction.shape))


def binary_cross_entropy(logits: Tensor, target: Tensor | Array | float) -> Tensor:
    """-[t log p + (1 - t) log(1 - p)] with p = sigmoid(logits), averaged over all elements.

    Computed as softplus(z) - t z, which neither overflows nor takes the logarithm of zero.
    target: in [0, 1], of logits' shape, or one number for all.
    """
    if not isinstance(target, int | float):
        _check("binary_cross_entropy", logits, target)
    return ops.mean(ops.softplus(logits) - logits * target)


def kl_sparsity(hidden: Tensor, rho: float) -> Tensor:
    """KL(rho || mean activation), **summed** over the hidden units (Xie et al. 2012, below eq. 6).

    hidden (N, H): sigmoid activations; their mean over the N samples is held to rho.
    """
    return ops.sum(ops.bernoulli_kl(ops.mean(hidden, axis=0), p=rho))


def l2_penalty(weights: Sequence[Tensor]) -> Tensor:
    """1/2 sum |W|_F^2 over the given weights (Xie et al. 2012, eq. 6 and 7)."""
    squares = [ops.sum_of_squares(w) for w in listed("l2_penalty", weights)]
    if not squares:
        raise ValueError("l2_penalty: there are no weights")
    first, *rest = squares
    for square in rest:
        first = first + square
    return first * 0.5


def _check(name: str, prediction: Tensor, target: Tensor | Array) -> None:
    if prediction.shape != target.shape:  # broadcasting here would hide a mistake
        raise ValueError(f"{name}: prediction is {prediction.shape}, target is {target.shape}")
    if not math.prod(prediction.shape):
        raise ValueError(f"{name}: prediction is {prediction.shape}: no mean of nothing")
