"""Noise that depends on brightness, as a camera's does, made equally strong everywhere.

    x      pixels in [0, 1]; s(x) the deviation of their noise, s(x)^2 = (1 - x) b^2 + x w^2
    f(x)   the integral of k / s from 0 to x, with k such that f(1) = 1

As f'(x) s(x) = k, noise has the one deviation k after f (Bartlett 1936); where b = 0, as for light
that is counted, f is a square root (Anscombe 1948). How strong noise is in black and in white is
read off the picture, as Foi et al. (2008) do with raw pictures of cameras.

A network that takes the noise n, of deviation 1, out of f(x + s n) gives its mean m(x), and f is
curved: as f'' / f' = -s' / s, to the second order

    m(x) = f(x) + f''(x) s^2 / 2 = f(x) - f'(x) (s^2)' / 4 = f(x - (w^2 - b^2) / 4)

The inverse of f would darken a picture by (w^2 - b^2) / 4 everywhere, two grey levels of 255 for 30
photons in white. So it is the inverse of m that turns f back (Makitalo & Foi 2011), of m in full:
the second order alone would be too much in black, where s changes within the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.optimize import nnls

from .scores import NORMAL_MEDIAN, estimate_sigma, second_difference

MAX_EVEN_RATIO = 2.0  # of b and w: texture may cause it, so the noise counts as even
MIN_RATIO = 0.15  # of b and w: a smaller one is raised to it
BRIGHTNESS_BINS = 12
NEIGHBOURHOOD = 5  # pixels: the side of the square that brightness is averaged over
MIN_INFORMATIVE_SHARE = 0.25  # of a picture: pixels far enough from black and white
FIT_ROUNDS, OUTLIER_SCALE = 8, 0.3  # of the robust fit; relative error of a bin's variance


@dataclass(frozen=True)
class NoiseCurve:
    """b and w: deviations of the noise in black and in white, in grey levels of 255."""

    black: float
    white: float

    @classmethod
    def of(cls, pixels: np.ndarray) -> NoiseCurve:
        """Estimate the noise in pixels (H, W, C); b = w unless it is clearly uneven."""
        even = estimate_sigma(pixels)
        curve = _fit(pixels, even / 255) if even else None
        if curve is None or max(curve) <= MAX_EVEN_RATIO * min(curve):
            return cls(even, even)
        return cls(*(max(255 * s, MIN_RATIO * 255 * max(curve)) for s in curve))

    @property
    def uneven(self) -> bool:
        return self.black != self.white

    @property
    def sigma(self) -> float:
        """The one deviation of the noise after `flatten`, k in grey levels of 255."""
        if not self.uneven:
            return self.black
        return 255 / float(self._table()[1][-1])

    def flatten(self, pixels: np.ndarray) -> np.ndarray:
        """Return f of pixels of any shape; outside [0, 1] it is continued linearly."""
        if not self.uneven:
            return pixels
        x, f = self._table()
        x, f = x / x[-1], f / f[-1]
        ends = np.where(pixels < 0, pixels * (f[1] / x[1]), 0)
        ends += np.where(pixels > 1, (pixels - 1) * (1 - f[-2]) / (1 - x[-2]), 0)
        return (np.interp(pixels, x, f) + ends).astype(pixels.dtype)

    def unflatten(self, pixels: np.ndarray) -> np.ndarray:
        """Return x for m(x), the mean of f(x + s n): the unbiased inverse of `flatten`, for pixels
        of any shape, in -0.25 to 1.25."""
        if not self.uneven:
            return pixels
        x = np.linspace(-0.25, 1.25, 1537)
        n, weight = np.polynomial.hermite_e.hermegauss(21)  # for means over n
        mean = self.flatten(x[:, None] + self._deviation(x)[:, None] * n) @ weight / weight.sum()
        return np.interp(pixels, mean, x).astype(pixels.dtype)

    def _deviation(self, x: np.ndarray) -> np.ndarray:
        """Return s(x); outside [0, 1] it is constant."""
        x = np.clip(x, 0, 1)
        return np.sqrt((1 - x) * self.black**2 + x * self.white**2) / 255

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x from 0 to 1, and the integral of 1 / s up to each."""
        x = np.linspace(0, 1, 1025)
        slope = 1 / self._deviation(x)
        return x, np.append(0, np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(x)))


def rounding_step(pixels: np.ndarray) -> float:
    """Return the distance between neighbouring values of a picture (H, W, C) in grey levels of 255:
    1 if 8 bits hold all its values, else 1 / 257, as for 16 bits.
    """
    levels = pixels * 255
    return 1.0 if np.abs(levels - np.rint(levels)).max(initial=0) < 1e-3 else 1 / 257


def _fit(pixels: np.ndarray, even: float) -> tuple[float, float] | None:
    """Return (b, w) in [0, 1], fitted to the noise by brightness; None for too few pixels."""
    if min(pixels.shape[:2]) < NEIGHBOURHOOD:
        return None
    size = (NEIGHBOURHOOD, NEIGHBOURHOOD, 1)
    brightness = uniform_filter(pixels, size)[1:-1, 1:-1]
    informative = (brightness > 2 * even) & (brightness < 1 - 2 * even)  # hardly clipped
    if informative.mean() < MIN_INFORMATIVE_SHARE:
        return None
    response = np.abs(second_difference(pixels))[informative] / (6 * NORMAL_MEDIAN)
    order = np.argsort(brightness[informative], kind="stable")
    bins = [b for b in np.array_split(order, BRIGHTNESS_BINS) if len(b)]
    x = np.array([brightness[informative][b].mean() for b in bins])
    variance = np.array([np.median(response[b]) for b in bins]) ** 2
    variance = np.maximum(variance, 1e-8)
    parts, weight, found = np.stack([1 - x, x], axis=1), 1 / variance, np.zeros(2)
    for _ in range(FIT_ROUNDS):  # texture in a bin makes it an outlier
        found, _rest = nnls(parts * weight[:, None], variance * weight)
        fit = np.maximum(parts @ found, 1e-8)
        weight = 1 / fit / np.sqrt(1 + ((variance / fit - 1) / OUTLIER_SCALE) ** 2)
    black, white = np.sqrt(found)
    return float(black), float(white)
