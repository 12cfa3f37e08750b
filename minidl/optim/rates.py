"""Learning rates that change from step to step, and gradients that are too long."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..device import Array
from ..tensor import Tensor


def warmup_cosine(
    lr: float, step: int, steps: int, *, warmup: int = 0, floor: float = 0.0
) -> float:
    """Up linearly to `lr` over the first `warmup` steps, then down a cosine to floor * lr.

    step counts from 0 to steps - 1 (Loshchilov & Hutter 2017).
    """
    if step < warmup:
        return lr * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))


def clip_gradients(grads: Iterable[Array], norm: float) -> tuple[list[Array], float]:
    """The gradients, shrunk together to a joint norm of at most `norm`; and the norm before.

    Gradients that are not finite stay as they are: the norm tells. Raises ValueError for a norm
    that is not above 0, TypeError for anything but a list of arrays.
    """
    if not norm > 0:
        raise ValueError(f"clip_gradients: norm is {norm}, expected more than 0")
    if isinstance(grads, Tensor) or hasattr(grads, "dtype"):
        raise TypeError("clip_gradients: expected a list of arrays, got one alone")
    grads = list(grads)
    total = math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in grads))
    if not norm < total < math.inf:
        return grads, total
    return [g * g.dtype.type(norm / total) for g in grads], total
