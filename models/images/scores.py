"""The quality of a repair, the noise of a picture, and the classical methods.

`psnr` and `estimate_sigma` work on NumPy and on CuPy arrays, the others on NumPy's only.
"""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

# The median of |z| for a standard normal z: a median absolute deviation divided by it is a sigma.
NORMAL_MEDIAN = 0.67449


def psnr(clean: np.ndarray, other: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB for a peak of 1; infinite for equal pictures.

    clean and other: (H, W, C), or any one shape. mask (H, W) bool: only its True pixels count.
    """
    if clean.shape != other.shape:
        raise ValueError(f"psnr: clean is {clean.shape}, other {other.shape}; expected one shape")
    error = clean.astype(np.float64) - other.astype(np.float64)
    if mask is not None:
        if mask.dtype != bool or mask.shape != clean.shape[:2] or not mask.any():
            raise ValueError(
                f"psnr: mask is {mask.dtype} {mask.shape} with {int(mask.sum())} pixels set; "
                f"expected bool {clean.shape[:2]} with some pixels True"
            )
        error = error[mask]
    mean_square = float((error * error).mean())
    return -10 * math.log10(mean_square) if mean_square else math.inf


def ssim(clean: np.ndarray, other: np.ndarray) -> float:
    """Return the structural similarity of pixels (H, W, C); constants as in Wang et al. 2004.

    Below 11 pixels in a side the mean is over all pixels, with the border mirrored.
    """
    if clean.shape != other.shape:
        raise ValueError(f"ssim: clean is {clean.shape}, other {other.shape}; expected one shape")
    shorter = min(clean.shape[:2])
    score = structural_similarity(
        clean.astype(np.float64),
        other.astype(np.float64),
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        win_size=11 if shorter >= 11 else 1,  # the margin left out of the mean, plus 1
    )
    return float(score)


def estimate_sigma(pixels: np.ndarray) -> float:
    """Estimate the deviation of white noise in pixels (H, W, C), in grey levels of 255.

    The second difference along both axes, [[1,-2,1],[-2,4,-2],[1,-2,1]] (Immerkaer 1996), removes
    most of a photograph and scales noise by 6; the median absolute deviation (Donoho 1995) ignores
    the remaining edges. Fine texture still counts as noise: most photographs add 0.5 to 1.5 at
    sigma 5 and less at 25; grass, the worst, adds 6.6 and 2.6. Clipped areas (flat at 0 or 1) hide
    their noise and are left out, unless they are over three quarters, as in a drawing. Returns 0
    for a picture with a side below 3 pixels.
    """
    if min(pixels.shape[:2]) < 3:
        return 0.0
    response = second_difference(pixels)
    centre = pixels[1:-1, 1:-1]
    informative = (response != 0) | ((centre != 0) & (centre != 1))
    if 4 * int(informative.sum()) > response.size:
        response = response[informative]
    return float(np.median(abs(response))) / (6 * NORMAL_MEDIAN) * 255


def second_difference(pixels: np.ndarray) -> np.ndarray:
    """Return second differences along both axes: pixels (H, W, C) -> (H - 2, W - 2, C)."""
    vertical = pixels[:-2] - 2 * pixels[1:-1] + pixels[2:]
    return vertical[:, :-2] - 2 * vertical[:, 1:-1] + vertical[:, 2:]


def non_local_means(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Denoise pixels (H, W, C) by non-local means (Buades et al. 2005): good at repeated texture.

    Patch sizes and strengths are the best for photographs at sigma 15 to 25, and 50 to 100.
    """
    patch, distance, strength = (5, 9, 0.6) if sigma < 40 else (7, 11, 0.5)
    level = sigma / 255
    denoised = denoise_nl_means(
        pixels, patch, distance, h=strength * level, sigma=level, fast_mode=True, channel_axis=-1
    )
    return denoised.reshape(pixels.shape)  # scikit-image drops the axis of a single channel


def total_variation(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Denoise pixels (H, W, C) by total variation (Chambolle 2004): sharp edges, flat areas."""
    if sigma == 0:
        return pixels.copy()
    return denoise_tv_chambolle(pixels, weight=0.9 * sigma / 255, eps=1e-5, channel_axis=-1)
