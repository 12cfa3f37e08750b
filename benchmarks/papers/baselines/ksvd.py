"""Denoising by K-SVD (Elad & Aharon, IEEE Transactions on Image Processing 2006), run here.

A dictionary of 256 atoms is learned on the noisy picture's own 8x8 patches. Each patch, less its
mean, is then written with as few atoms as bring it within (GAIN sigma)^2 per pixel, and the patches
are averaged with each other and with the noisy picture.

    x   patches (N, P), d atoms (A, P) of length 1, g coefficients; R the residual of x

Two things differ from the publication. Atoms and coefficients are updated by one power iteration
instead of a full singular value decomposition (Rubinstein, Zibulevsky & Elad, 2008). At a stride s
above 1 the weight of the noisy picture is divided by s^2, as the number of patches is.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.cpu.runtime.jit import jit
from minidl.models.images.patches import PatchSampler, map_patches, positions

SIDE, ATOMS = 8, 256
GAIN = 1.15  # of the noise: the error at which a patch is accepted
FIDELITY = 30.0  # lambda = FIDELITY / sigma, the weight of the noisy picture
MAX_ATOMS = 32  # of a patch
ROUNDS, PATCHES = 10, 40_000  # of learning


@jit
def _pursue(correlations, gram, energies, tolerance, atoms, coefficients):  # type: ignore[no-untyped-def]
    """Batch-OMP with progressive Cholesky: atoms (N, K), -1 where unused, and coefficients."""
    count, most = atoms.shape
    cholesky = np.zeros((most, most))
    z = np.zeros(most)
    directions = np.zeros((most, gram.shape[0]))  # G D L^-T, a row for each chosen atom
    for i in range(count):
        alpha = correlations[i].copy()  # of every atom with what is left of the patch
        left, k = energies[i], 0
        while k < most and left > tolerance:
            best = np.argmax(np.abs(alpha))
            free = gram[best, best]
            for r in range(k):  # the new row of L, with L L^T the chosen atoms' Gram matrix
                w = gram[atoms[i, r], best]
                for c in range(r):
                    w -= cholesky[r, c] * cholesky[k, c]
                cholesky[k, r] = w / cholesky[r, r]
                free -= cholesky[k, r] ** 2
            if free < 1e-9:  # it is a sum of the chosen ones: nothing is gained
                break
            cholesky[k, k] = np.sqrt(free)
            z[k] = alpha[best] / cholesky[k, k]
            direction = directions[k]
            direction[:] = gram[best]
            for r in range(k):
                direction -= cholesky[k, r] * directions[r]
            direction /= cholesky[k, k]
            alpha -= z[k] * direction
            left -= z[k] ** 2
            atoms[i, k] = best
            k += 1
        for r in range(k - 1, -1, -1):  # L^T g = z
            g = z[r]
            for c in range(r + 1, k):
                g -= cholesky[c, r] * coefficients[i, c]
            coefficients[i, r] = g / cholesky[r, r]


def pursue(
    x: np.ndarray, d: np.ndarray, tolerance: float, most: int = MAX_ATOMS
) -> tuple[np.ndarray, np.ndarray]:
    """Orthogonal matching pursuit of x (N, P) in d (A, P), rows of length 1.

    Atoms are added until the squared error of a patch is at most `tolerance`, or there are `most`.
    Returns the atoms (N, K), -1 where there is none, and their coefficients (N, K).
    """
    x, d = x.astype(np.float64), d.astype(np.float64)
    atoms = np.full((len(x), most), -1)
    coefficients = np.zeros((len(x), most))
    _pursue(x @ d.T, d @ d.T, (x * x).sum(axis=1), tolerance, atoms, coefficients)
    return atoms, coefficients


def combine(atoms: np.ndarray, coefficients: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Return the patches (N, P) that `pursue` found."""
    x = np.zeros((len(atoms), d.shape[1]))
    for k in range(int((atoms >= 0).sum(axis=1).max(initial=0))):
        x += coefficients[:, k, None] * d[atoms[:, k]]  # -1 is an atom too, times 0
    return x


def cosines(side: int = SIDE, atoms: int = ATOMS) -> np.ndarray:
    """Return the overcomplete discrete cosine dictionary, (atoms, side^2), the first one."""
    each = round(atoms**0.5)
    rows = np.cos(np.outer(np.arange(each), np.arange(side)) * np.pi / each)
    rows[1:] -= rows[1:].mean(axis=1, keepdims=True)
    d = np.kron(rows, rows)
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def learn(x: np.ndarray, tolerance: float, *, rounds: int = ROUNDS) -> np.ndarray:
    """Learn a dictionary (A, P) for the patches x (N, P), whose means are zero, by K-SVD."""
    d = cosines(round(x.shape[1] ** 0.5))
    for _ in range(rounds):
        atoms, g = pursue(x, d, tolerance)
        left = x - combine(atoms, g, d)
        used = np.flatnonzero(atoms.reshape(-1) >= 0)
        used = used[np.argsort(atoms.reshape(-1)[used], kind="stable")]
        users = np.split(used, np.searchsorted(atoms.reshape(-1)[used], np.arange(1, len(d))))
        for atom, uses in enumerate(users):
            if not len(uses):  # an unused atom is replaced by the patch with the largest error
                worst = int(np.argmax((left * left).sum(axis=1)))
                d[atom] = x[worst] / max(float(np.linalg.norm(x[worst])), 1e-12)
                left[worst] = 0
                continue
            which = uses // atoms.shape[1]
            share = g.reshape(-1)[uses]
            error = left[which] + share[:, None] * d[atom]  # without this atom
            direction = share @ error
            d[atom] = direction / max(float(np.linalg.norm(direction)), 1e-12)
            g.reshape(-1)[uses] = share = error @ d[atom]
            left[which] = error - share[:, None] * d[atom]
    return d


def denoise(
    pixels: np.ndarray, sigma: float, *, stride: int = 1, rounds: int = ROUNDS, seed: int = 0
) -> np.ndarray:
    """pixels (H, W, 1) with noise of sigma grey levels -> (H, W, 1) float32, not clipped."""
    image = pixels[..., 0]
    tolerance = SIDE**2 * (GAIN * sigma / 255) ** 2
    drawn = PatchSampler([image], SIDE, upright=True)
    x = drawn.sample(min(PATCHES, drawn.count), np.random.default_rng(seed)).astype(np.float64)
    d = learn(x - x.mean(axis=1, keepdims=True), tolerance, rounds=rounds)

    def write(patches: np.ndarray) -> np.ndarray:
        means = patches.mean(axis=1, keepdims=True)
        return means + combine(*pursue(patches - means, d, tolerance), d)

    flat = np.ones((SIDE, SIDE), np.float32)
    merged = map_patches(image, write, size=SIDE, stride=stride, window=flat, batch=16_384)
    weight = np.outer(*(_cover(n, stride) for n in image.shape))
    fidelity = FIDELITY / sigma / stride**2
    mixed = (fidelity * image + weight * merged) / (fidelity + weight)
    return mixed[..., None].astype(np.float32)


def _cover(length: int, stride: int) -> np.ndarray:
    """Return the number of patches that cover each pixel along a side."""
    cover = np.zeros(length)
    for start in positions(length, SIDE, stride):
        cover[start : start + SIDE] += 1
    return cover
