"""Text removed by K-SVD with a given mask (Elad & Aharon 2006; Mairal, Elad & Sapiro 2008).

A dictionary is learned on the patches without text. Few atoms then approximate the known pixels of
each other patch, and predict its unknown ones.

    x   patches (N, P), k the mask of their known pixels, d atoms (A, P) of length 1
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.cpu.runtime.jit import jit
from minidl.models.images.patches import PatchSampler, map_patches, positions, unfold

from .ksvd import SIDE, learn

STRIDE = 2
TOLERANCE = 3.0  # grey levels, of known pixels
MAX_ATOMS = 16  # of a patch, and at most a third of its known pixels
ROUNDS, PATCHES = 4, 6_000  # of learning


@jit
def _meet(x, k, d, tolerance, most, found):  # type: ignore[no-untyped-def]
    """found (N, P): orthogonal matching pursuit of the known pixels, by Gram-Schmidt."""
    basis = np.zeros((most, x.shape[1]))  # q: the chosen atoms' known pixels, orthonormal
    triangle = np.zeros((most, most))  # r: chosen = q r
    share = np.zeros(most)
    chosen = np.zeros(most, np.int64)
    squares = d * d
    for i in range(x.shape[0]):
        left = x[i] * k[i]
        count = int(k[i].sum())
        limit = min(most, count // 3)
        lengths = np.sqrt(squares @ k[i])  # of the atoms' known pixels
        used = 0
        while used < limit and (left @ left) > tolerance * count:
            like = np.abs(d @ left) / (lengths + 1e-6)
            like[lengths < 0.1] = 0
            best = np.argmax(like)
            q = d[best] * k[i]
            for r in range(used):
                triangle[r, used] = basis[r] @ q
                q = q - triangle[r, used] * basis[r]
            length = np.sqrt(q @ q)
            if length < 1e-4 * lengths[best] + 1e-9:  # it is a sum of the chosen ones
                break
            triangle[used, used] = length
            basis[used] = q / length
            share[used] = basis[used] @ left
            left = left - share[used] * basis[used]
            chosen[used] = best
            used += 1
        for r in range(used - 1, -1, -1):  # r g = share
            g = share[r]
            for c in range(r + 1, used):
                g -= triangle[r, c] * share[c]
            share[r] = g / triangle[r, r]
            found[i] += share[r] * d[chosen[r]]


def meet(x: np.ndarray, known: np.ndarray, d: np.ndarray, tolerance: float) -> np.ndarray:
    """x (N, P), known (N, P) bool, d (A, P) -> patches (N, P) that are close to x where known.

    tolerance: the mean squared error of a patch's known pixels.
    """
    found = np.zeros(x.shape)
    _meet(x.astype(np.float64), known.astype(np.float64), d, tolerance, MAX_ATOMS, found)
    return found


def inpaint(pixels: np.ndarray, mask: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """pixels (H, W, 1) and mask (H, W), True where text is -> (H, W, 1) float32, not clipped.

    Known pixels do not change.
    """
    image, tolerance = pixels[..., 0], (TOLERANCE / 255) ** 2
    d = learn(_untouched(image, mask, seed), SIDE**2 * tolerance, rounds=ROUNDS)

    # `map_patches` takes both in the same order: first the mask of known pixels, then the pixels.
    bands: list[np.ndarray] = []

    def remember(patches: np.ndarray) -> np.ndarray:
        bands.append(patches > 0.5)
        return patches

    flat = np.ones((SIDE, SIDE), np.float32)
    how = {"size": SIDE, "stride": STRIDE, "window": flat, "batch": 16_384}
    map_patches((~mask).astype(np.float32), remember, **how)  # type: ignore[arg-type]
    known = iter(bands)

    def write(patches: np.ndarray) -> np.ndarray:
        k = next(known)
        means = (patches * k).sum(axis=1, keepdims=True) / np.maximum(k.sum(axis=1), 1)[:, None]
        repaired = patches.astype(np.float64)
        incomplete = ~k.all(axis=1)
        repaired[incomplete] = means[incomplete] + meet(
            (patches - means)[incomplete], k[incomplete], d, tolerance
        )
        return repaired

    filled = map_patches(image, write, **how)  # type: ignore[arg-type]
    return np.where(mask, filled, image)[..., None].astype(np.float32)


def _untouched(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """Return patches (N, P) without text, less their means; any if text is everywhere."""
    rows, columns = (positions(n, SIDE, 1) for n in image.shape)
    free = ~unfold(mask, SIDE, rows, columns).any(axis=1)
    rng = np.random.default_rng(seed)
    if free.sum() < PATCHES // 10:
        sampler = PatchSampler([image], SIDE, upright=True)
        x = sampler.sample(min(PATCHES, sampler.count), rng)
    else:
        indices = np.flatnonzero(free)
        x = unfold(image, SIDE, rows, columns)[
            rng.choice(indices, min(PATCHES, len(indices)), replace=False)
        ]
    return (x - x.mean(axis=1, keepdims=True)).astype(np.float64)
