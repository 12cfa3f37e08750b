"""The error of a filling in the paper's units, and the classical methods.

Pixels are in [0, 1]. L1 is the mean of |x - y| over the pixels of the hole, L2 that of (x - y)^2,
both in percent; the PSNR is 10 log10(1 / L2). Each is computed for each picture, then averaged. The
paper must do the same: its mean L2 of 2.35 % would give 16.3 dB, and its table 1 says 17.59.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

import numpy as np
from skimage.restoration import inpaint_biharmonic

from minidl.models.images.scores import psnr, ssim

from . import laplace
from .masks import MEAN_COLOUR

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (H, W, 3) in [0, 1], mask (H, W) -> filled


def hole_scores(clean: np.ndarray, filled: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """clean, filled (N, H, W, 3) and masks (N, H, W) -> {"l1", "l2"} in percent, {"psnr"} in dB."""
    count = clean.shape[-1] * masks.sum(axis=(1, 2))
    error = np.where(masks[..., None], clean.astype(np.float64) - filled, 0)
    l1 = np.abs(error).sum(axis=(1, 2, 3)) / count
    l2 = np.square(error).sum(axis=(1, 2, 3)) / count
    psnr = -10 * np.log10(np.maximum(l2, 1e-12))
    return {"l1": 100 * l1.mean(), "l2": 100 * l2.mean(), "psnr": psnr.mean()}


def picture_scores(clean: np.ndarray, filled: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Return `hole_scores` of one picture (H, W, 3), and the whole picture's PSNR ("whole") and
    SSIM."""
    scores = hole_scores(clean[None], filled[None], mask[None])
    return {k: float(v) for k, v in scores.items()} | {
        "whole": psnr(clean, filled),
        "ssim": ssim(clean, filled),
    }


def mean_colour(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the picture with the hole in the mean colour, as the networks' input."""
    return np.where(mask[..., None], MEAN_COLOUR, pixels)


def membrane(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the picture with a membrane over the hole (Laplace's equation)."""
    return np.clip(laplace.solve(pixels, mask, ~mask), 0, 1).astype(np.float32)


def biharmonic(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the picture with a biharmonic surface over the hole (Damelin & Hoang 2018).

    It continues values and slopes at the border.
    """
    return np.clip(inpaint_biharmonic(pixels, mask, channel_axis=-1), 0, 1).astype(np.float32)


def _opencv(method: str, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the picture filled by Telea 2004 or Bertalmio et al. 2001, radius 3 pixels."""
    import cv2

    flags = {"Telea": cv2.INPAINT_TELEA, "Navier-Stokes": cv2.INPAINT_NS}
    levels = np.round(255 * pixels).astype(np.uint8)
    return cv2.inpaint(levels, mask.astype(np.uint8), 3, flags[method]) / np.float32(255)


METHODS: dict[str, Fill] = {
    "mean colour": mean_colour,
    "membrane": membrane,
    "biharmonic": biharmonic,
}
if importlib.util.find_spec("cv2"):
    for _method in ("Telea", "Navier-Stokes"):
        METHODS[_method] = functools.partial(_opencv, _method)
MAX_PICTURES = {"biharmonic": 24}  # of a slow method
