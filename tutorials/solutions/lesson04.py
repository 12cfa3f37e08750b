"""Solutions of lesson 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import Tensor, no_grad, ops
from minidl.models.ssda import DenoisingAutoencoder


def kl_sparsity(hidden: Tensor, rho: float) -> Tensor:
    """The mean is over patches, the sum over units."""
    mean = hidden.mean(axis=0)
    return (rho * ops.log(rho / mean) + (1 - rho) * ops.log((1 - rho) / (1 - mean))).sum()


def pair_for_second(
    first: DenoisingAutoencoder, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Send both through the encoder."""
    with no_grad():
        return first.encode(x).data, first.encode(y).data


def loss_7(
    autoencoders: Sequence[DenoisingAutoencoder], x: np.ndarray, y: np.ndarray, decay: float
) -> Tensor:
    """Encoders from the outermost inwards, decoders the other way."""
    h: Any = x
    for autoencoder in autoencoders:
        h = autoencoder.encode(h)
    for autoencoder in reversed(autoencoders):
        h = autoencoder.decode(h)
    loss = ((h - y) * (h - y)).sum() * (0.5 / len(x))
    for autoencoder in autoencoders:
        for w in (autoencoder.encoder.w, autoencoder.decoder.w):
            loss = loss + 0.5 * decay * (w * w).sum()
    return loss


def _of_everything(hidden: Tensor, rho: float) -> Tensor:
    mean = hidden.mean()  # over units as well: some may be dead, others always on
    return (rho * ops.log(rho / mean) + (1 - rho) * ops.log((1 - rho) / (1 - mean))) * float(
        hidden.shape[1]
    )


def _in_the_wrong_order(
    autoencoders: Sequence[DenoisingAutoencoder], x: np.ndarray, y: np.ndarray, decay: float
) -> Tensor:
    return loss_7(list(reversed(autoencoders)), x, y, decay)


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "kl_sparsity": [
        _of_everything,
        lambda hidden, rho: kl_sparsity(hidden, rho) * (1 / hidden.shape[1]),  # a mean over units
    ],
    "pair_for_second": [
        lambda first, x, y: (first.encode(x).data, y),
        lambda first, x, y: (first.encode(y).data, first.encode(x).data),
        lambda first, x, y: (first(x).data, first(y).data),
    ],
    "loss_7": [
        _in_the_wrong_order,
        lambda autoencoders, x, y, decay: loss_7(autoencoders, x, y, 2 * decay),
        lambda autoencoders, x, y, decay: loss_7(autoencoders[:1], x, y, decay),
    ],
}
