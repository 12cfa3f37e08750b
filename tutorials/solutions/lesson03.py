"""Solutions of lesson 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import Tensor, ops


def psnr(clean: np.ndarray, other: np.ndarray, peak: float = 1.0) -> float:
    """Compute in float64: differences of bytes would wrap around."""
    error = clean.astype(np.float64) - other.astype(np.float64)
    return float(10 * np.log10(peak**2 / (error**2).mean()))


def merge(patches: np.ndarray, shape: tuple[int, int], size: int, stride: int) -> np.ndarray:
    """Divide the sum of the patches by their number, at each pixel."""
    total, count = np.zeros(shape, patches.dtype), np.zeros(shape, patches.dtype)
    places = [
        (slice(row, row + size), slice(column, column + size))
        for row in range(0, shape[0] - size + 1, stride)
        for column in range(0, shape[1] - size + 1, stride)
    ]
    for place, patch in zip(places, patches, strict=True):
        total[place] += patch.reshape(size, size)
        count[place] += 1
    return total / count


def denoising_loss(
    x: np.ndarray, y: np.ndarray, w: Tensor, b: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    """Compute (3), (4) and (5)."""
    h = ops.sigmoid(x @ w + b)
    error = ops.sigmoid(h @ w2 + b2) - y
    return (error * error).sum() * (0.5 / len(x))


def _last_wins(patches: np.ndarray, shape: tuple[int, int], size: int, stride: int) -> np.ndarray:
    picture, patches = np.zeros(shape, patches.dtype), iter(patches)  # type: ignore[assignment]
    for row in range(0, shape[0] - size + 1, stride):
        for column in range(0, shape[1] - size + 1, stride):
            picture[row : row + size, column : column + size] = next(patches).reshape(size, size)  # type: ignore[call-overload]
    return picture


# Mistakes that the tests must see.
MISTAKES: dict[str, list[Any]] = {
    "psnr": [
        lambda clean, other, peak=1.0: float(-10 * np.log10(np.mean((clean - other) ** 2))),
        lambda clean, other, peak=1.0: psnr(clean, other, 1.0),
    ],
    "merge": [_last_wins],
    "denoising_loss": [
        lambda x, y, w, b, w2, b2: denoising_loss(x, y, w, b, w2, b2) * (2 / y.shape[1]),  # a mean
        lambda x, y, w, b, w2, b2: denoising_loss(x, y, w, b, w2, b2) * len(x),
        lambda x, y, w, b, w2, b2: denoising_loss(x, x, w, b, w2, b2),
    ],
}
