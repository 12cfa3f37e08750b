"""How the loops of this folder are compiled.

Three things decide whether such a loop is fast: `error_model="numpy"` (Python's own check for
division by zero stops vectorisation), an exponential without branches or calls, and no number of
a wider type (`0.5 * x` is float64; hence `T(0.5)`, with T the type of the array).

A compiled function and the compiled functions that it calls stand in one file, because Numba's
cache of compiled code looks at nothing else when it asks what changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from numba import njit

# The floating-point liberties that vectorisation needs; sums keep their order ('reassoc' is
# absent).
FAST = {"contract", "nsz", "arcp"}


def compiled(loop: Callable[..., None]) -> Callable[..., None]:
    """Numba's `njit`, its result kept on disk where there is a folder that can be written."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FAST}
    kept = "MINIDL_SIMD" not in os.environ  # which the cache knows nothing of
    try:
        return njit(cache=kept, **options)(loop)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return njit(**options)(loop)
