"""Exercises of lesson 4. Test your answers with `pytest -m lesson04`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl import Tensor
from minidl.models.ssda import DenoisingAutoencoder


def kl_sparsity(hidden: Tensor, rho: float) -> Tensor:
    """Return the KL of rho and each unit's mean activation over N samples, summed over the units.

    hidden (N, units), in (0, 1). The result is one number with gradients.
    """
    raise NotImplementedError


def pair_for_second(
    first: DenoisingAutoencoder, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (input, target) of the second auto-encoder, both (N, units), from the trained first.

    x, y: noisy and clean patches (N, P). Use `first.encode` or `first.decode`. Return plain arrays,
    without a record for gradients.
    """
    raise NotImplementedError


def loss_7(
    autoencoders: Sequence[DenoisingAutoencoder], x: np.ndarray, y: np.ndarray, decay: float
) -> Tensor:
    """Return equation 7 for K auto-encoders, of which the first sees the pixels.

    It is half the squared error of the whole stack, summed over pixels, averaged over patches, plus
    decay / 2 times the sum of the squares of all 2 K weight matrices: `autoencoder.encoder.w` and
    `autoencoder.decoder.w`. Biases are not counted.
    """
    raise NotImplementedError
