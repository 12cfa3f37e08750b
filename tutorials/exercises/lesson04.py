"""Exercises of lesson 4. Test your answers with `pytest -m lesson04`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl import Tensor
from minidl.models.ssda import DenoisingAutoencoder


def kl_sparsity(hidden: Tensor, rho: float) -> Tensor:
    """KL of rho and the mean activation of each unit over the N samples, summed over the units.

    hidden (N, units), in (0, 1). One number, of which gradients can be taken.
    """
    raise NotImplementedError


def pair_for_second(
    first: DenoisingAutoencoder, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(input, target) of the second auto-encoder, (N, units) both, from the trained first one.

    x, y: noisy and clean patches (N, P). `first.encode` and `first.decode` are there to be used.
    Nothing is recorded for gradients: plain arrays.
    """
    raise NotImplementedError


def loss_7(
    autoencoders: Sequence[DenoisingAutoencoder], x: np.ndarray, y: np.ndarray, decay: float
) -> Tensor:
    """Equation 7 for K auto-encoders, the first of which sees the pixels.

    Half the squared error of the whole stack, summed over pixels and averaged over patches, plus
    decay / 2 times the sum of the squares of all 2 K weight matrices: `autoencoder.encoder.w` and
    `autoencoder.decoder.w`. Biases are not counted.
    """
    raise NotImplementedError
