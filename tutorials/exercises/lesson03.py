"""Exercises of lesson 3. Test your answers with `pytest -m lesson03`."""

from __future__ import annotations

import numpy as np

from minidl import Tensor


def psnr(clean: np.ndarray, other: np.ndarray, peak: float = 1.0) -> float:
    """10 log10(peak^2 / mean squared error), in dB, for two pictures of one shape.

    peak: the largest value that a pixel can have. The pictures may also be bytes (uint8).
    """
    raise NotImplementedError


def merge(patches: np.ndarray, shape: tuple[int, int], size: int, stride: int) -> np.ndarray:
    """Return the picture (H, W): each pixel is the mean of all patches that cover it.

    patches (N, size * size) begin at every stride-th row and column, row by row, as the lesson's
    `cut` returns them. Every pixel is covered: H - size and W - size are multiples of stride.
    """
    raise NotImplementedError


def denoising_loss(
    x: np.ndarray, y: np.ndarray, w: Tensor, b: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    """Return the loss of the auto-encoder w, b, w2, b2 at noisy x and clean y (N, P): (3) to (5).

    The loss is one number: half the squared error, summed over pixels, averaged over patches. Use
    tensors and `minidl.ops`, so that it has gradients.
    """
    raise NotImplementedError
