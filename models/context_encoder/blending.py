"""Blending: a prediction is changed so that it meets its surroundings without a seam."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from . import laplace

RIM_PIXELS = 3  # width of the known ring around a hole in which a prediction's error is measured
ERROR_SIGMA = 1.5  # pixels; smooths that error, so that no single pixel spreads into the hole


def blend_seam(
    prediction: np.ndarray, pixels: np.ndarray, hole: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """prediction (S, S, C) -> the same, adjusted in the hole (S, S) to meet the known pixels.

    The prediction's error on known (S, S) pixels around the hole is continued into the hole by
    Laplace's equation, and added: the seam closes, and the texture stays (Perez, Gangnet & Blake,
    Poisson image editing, 2003).
    """
    ring = known & ~hole & ndimage.binary_dilation(hole, iterations=RIM_PIXELS)
    if not ring.any():
        return prediction.copy()
    error = ndimage.gaussian_filter(
        np.where(ring[..., None], pixels - prediction, 0),
        (ERROR_SIGMA, ERROR_SIGMA, 0),
        mode="constant",
    )
    weight = ndimage.gaussian_filter(ring.astype(np.float32), ERROR_SIGMA, mode="constant")
    error /= np.maximum(weight, 1e-6)[..., None]
    result = prediction.copy()
    result[hole] += laplace.solve(error, hole, ring)[hole]
    return result
