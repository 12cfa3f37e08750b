"""Text taken off by K-SVD where the mask is given (Elad & Aharon 2006; Mairal, Elad & Sapiro 2008).

A dictionary is learned on the patches that no text touches. Each patch that some touches is then
written with few atoms so that its known pixels are met; the unknown ones come with the atoms.

    x   patches (N, P), k which pixels of them are known, d atoms (A, P) of length 1
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.cpu.runtime.jit import jit
from minidl.models.images.patches import PatchSampler, cut, positions, restore

from .ksvd import SIDE, learn

STRIDE = 2
SLACK = 3.0  # grey levels by which known pixels may be missed
MOST = 16  # atoms to a patch, and no more than a third of its known pixels
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
            if length < 1e-4 * lengths[best] + 1e-9:  # it lies among those chosen
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
    """x (N, P), known (N, P) bool, d (A, P) -> patches (N, P) that meet x where it is known.

    tolerance: the mean squared error that is left to the known pixels of a patch.
    """
    found = np.zeros(x.shape)
    _meet(x.astype(np.float64), known.astype(np.float64), d, tolerance, MOST, found)
    return found


def inpaint(pixels: np.ndarray, mask: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """pixels (H, W, 1) and mask (H, W), True where text is -> (H, W, 1) float32, not clipped.

    Pixels that are known stay as they are.
    """
    image, tolerance = pixels[..., 0], (SLACK / 255) ** 2
    d = learn(_untouched(image, mask, seed), SIDE**2 * tolerance, rounds=ROUNDS)

    # Both go through `restore` in the same order: first which pixels are known, then the pixels.
    bands: list[np.ndarray] = []

    def remember(patches: np.ndarray) -> np.ndarray:
        bands.append(patches > 0.5)
        return patches

    flat = np.ones((SIDE, SIDE), np.float32)
    how = {"size": SIDE, "stride": STRIDE, "window": flat, "batch": 16_384}
    restore((~mask).astype(np.float32), remember, **how)  # type: ignore[arg-type]
    known = iter(bands)

    def write(patches: np.ndarray) -> np.ndarray:
        k = next(known)
        means = (patches * k).sum(axis=1, keepdims=True) / np.maximum(k.sum(axis=1), 1)[:, None]
        repaired = patches.astype(np.float64)
        some = ~k.all(axis=1)
        repaired[some] = means[some] + meet((patches - means)[some], k[some], d, tolerance)
        return repaired

    filled = restore(image, write, **how)  # type: ignore[arg-type]
    return np.where(mask, filled, image)[..., None].astype(np.float32)


def _untouched(image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """Patches (N, P) without text and without their means; any, where text is everywhere."""
    rows, columns = (positions(n, SIDE, 1) for n in image.shape)
    free = ~cut(mask, SIDE, rows, columns).any(axis=1)
    rng = np.random.default_rng(seed)
    if free.sum() < PATCHES // 10:
        sampler = PatchSampler([image], SIDE, upright=True)
        x = sampler.sample(min(PATCHES, sampler.count), rng)
    else:
        places = np.flatnonzero(free)
        x = cut(image, SIDE, rows, columns)[
            rng.choice(places, min(PATCHES, len(places)), replace=False)
        ]
    return (x - x.mean(axis=1, keepdims=True)).astype(np.float64)
