"""Stacked sparse denoising auto-encoders (Xie, Xu, Chen, NIPS 2012): the networks and their losses.

    x   the damaged patches, y the clean ones, (N, P) with P pixels to a patch
    h   hidden activations, (N, H)
    K   how many auto-encoders are stacked; the paper's experiments have K = 2

The number beside a formula is that of the paper's equation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np

from minidl import Tensor, losses, nn, ops, schema
from minidl.device import Array
from minidl.schema import OneOf, Range

SQUARED_ERRORS = {"half-sum": losses.half_squared_error, "mean": losses.mean_squared_error}


@dataclass(frozen=True)
class Penalty:
    """The penalties that eq. 6 and 7 add to the squared error, and the convention of that error."""

    error: Annotated[str, OneOf(*SQUARED_ERRORS)] = "half-sum"  # the paper's
    beta: Annotated[float, Range(0, 1e6)] = 0.0  # weight of the sparsity
    rho: Annotated[float, Range(0, 1, above=True, below=True)] = 0.05  # the mean activation asked
    decay: Annotated[float, Range(0, 1e6)] = 0.0  # lambda: weight of the squared weights

    def __post_init__(self) -> None:
        schema.check(self)


class DenoisingAutoencoder(nn.Module):
    """One hidden layer that rebuilds y from x: (N, inputs) -> (N, hidden) -> (N, outputs).

    outputs: by default as many as inputs. gain: a factor of the encoder's first weights (4 is
    Glorot & Bengio's for sigmoids). rho: the initial activation of hidden units; by default 1/2.
    of_hidden: the inputs are hidden units themselves, so the outputs begin at rho, too.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int | None = None,
        *,
        rng: np.random.Generator,
        gain: float = 1.0,
        rho: float | None = None,
        of_hidden: bool = False,
    ) -> None:
        self.encoder = nn.Linear(inputs, hidden, rng=rng, gain=gain)
        self.decoder = nn.Linear(hidden, outputs or inputs, rng=rng)
        if rho is not None:
            self.encoder.b.data += np.float32(math.log(rho / (1 - rho)))
            self.decoder.b.data += np.float32(math.log(rho / (1 - rho)) if of_hidden else 0)

    def encode(self, x: Tensor | Array) -> Tensor:
        """h(x) = sigmoid(W x + b)  (3)."""
        return ops.sigmoid(self.encoder(x))

    def decode(self, h: Tensor) -> Tensor:
        """y^ = sigmoid(W' h + b')  (4)."""
        return ops.sigmoid(self.decoder(h))

    def forward(self, x: Tensor | Array) -> Tensor:
        return self.decode(self.encode(x))

    def loss(self, x: Array, y: Array, penalty: Penalty) -> Tensor:
        """1/N sum_i 1/2 |y_i - y^(x_i)|^2 + beta KL(rho^, rho) + lambda/2 (|W|^2 + |W'|^2)  (6)."""
        h = self.encode(x)
        loss = SQUARED_ERRORS[penalty.error](self.decode(h), y)
        if penalty.beta:
            loss = loss + penalty.beta * losses.kl_sparsity(h, penalty.rho)
        if penalty.decay:
            loss = loss + penalty.decay * losses.l2_penalty([self.encoder.w, self.decoder.w])
        return loss


class SSDA(nn.Module):
    """K auto-encoders stacked: W_1 ... W_K, then W'_K ... W'_1; 2K - 1 hidden layers.

    The deep network has no parameters of its own: it uses those of its auto-encoders, so that
    fine-tuning continues from the pre-trained weights.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int | None = None,
        *,
        rng: np.random.Generator,
        gain: float = 1.0,
        rho: float | None = None,
    ) -> None:
        self.autoencoders = [
            DenoisingAutoencoder(
                i, h, None if k else outputs, rng=rng, gain=gain, rho=rho, of_hidden=k > 0
            )
            for k, (i, h) in enumerate(pairwise([inputs, *hidden]))
        ]

    def encode(self, x: Tensor | Array, depth: int) -> Tensor | Array:
        """Return x after the encoders of the first `depth` auto-encoders."""
        for autoencoder in self.autoencoders[:depth]:
            x = autoencoder.encode(x)
        return x

    def forward(self, x: Tensor | Array) -> Tensor:
        h = self.encode(x, len(self.autoencoders))
        for autoencoder in reversed(self.autoencoders):
            h = autoencoder.decode(h)
        return h

    def loss(self, x: Array, y: Array, penalty: Penalty) -> Tensor:
        """1/N sum_i 1/2 |y_i - y(x_i)|^2 + lambda/2 sum_j |W_j|^2, j = 1 ... 2K  (7)."""
        loss = SQUARED_ERRORS[penalty.error](self(x), y)
        if penalty.decay:
            weights = [w for a in self.autoencoders for w in (a.encoder.w, a.decoder.w)]
            loss = loss + penalty.decay * losses.l2_penalty(weights)
        return loss
