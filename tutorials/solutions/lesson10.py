"""Solutions of lesson 10."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor, ops


def hide(pictures: np.ndarray, masks: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The mask gets an axis for the channels, along which it is repeated."""
    return np.where(masks[..., None], colour.astype(pictures.dtype), pictures)


def reconstruction(prediction: Tensor, pictures: np.ndarray, masks: np.ndarray) -> Tensor:
    """Divide the sum of the masked squares by the number of all hidden numbers."""
    hidden = masks[..., None].astype(pictures.dtype)
    error = (prediction - pictures) * hidden
    return ops.sum(error * error) * (1 / (masks.sum() * pictures.shape[-1]))


def channelwise_linear(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute one product for each map, all at once: (C, N, n^2) times (C, n^2, n^2)."""
    N, n, _, C = x.shape
    maps = x.reshape(N, n * n, C).transpose(2, 0, 1)
    return (maps @ w + b[:, None]).transpose(1, 2, 0).reshape(N, n, n, C)


def _in_place(pictures: np.ndarray, masks: np.ndarray, colour: np.ndarray) -> np.ndarray:
    pictures[masks] = colour
    return pictures


def _mean_over_all(prediction: Tensor, pictures: np.ndarray, masks: np.ndarray) -> Tensor:
    error = (prediction - pictures) * masks[..., None].astype(pictures.dtype)
    return ops.mean(error * error)


def _by_picture(prediction: Tensor, pictures: np.ndarray, masks: np.ndarray) -> Tensor:
    error = (prediction - pictures) * masks[..., None].astype(pictures.dtype)
    counts = masks.sum(axis=(1, 2)) * pictures.shape[-1]
    return ops.mean(ops.sum(error * error, axis=(1, 2, 3)) / counts.astype(pictures.dtype))


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "hide": [
        _in_place,
        lambda pictures, masks, colour: hide(pictures, ~masks, colour),
        lambda pictures, masks, colour: hide(pictures, masks, np.full_like(colour, colour.mean())),
    ],
    "reconstruction": [
        _mean_over_all,
        _by_picture,
        lambda prediction, pictures, masks: reconstruction(prediction, pictures, ~masks),
        lambda prediction, pictures, masks: ops.mean((prediction - pictures) ** 2),
    ],
    "channelwise_linear": [
        lambda x, w, b: channelwise_linear(x, w.transpose(0, 2, 1), b),
        lambda x, w, b: channelwise_linear(x, w, 0 * b),
        lambda x, w, b: channelwise_linear(x.transpose(0, 2, 1, 3), w, b),
    ],
}
