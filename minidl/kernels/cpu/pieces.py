"""What several compiled loops need: zeros, tables of offsets, the order of jobs.

Explicit loops: Numba takes ten times as long to compile NumPy's expressions for these.
"""

from __future__ import annotations

import numpy as np

from .compiling import inner
from .microkernel import ROWS


@inner
def clear(flat):
    for i in range(flat.size):
        flat[i] = 0


@inner
def zeros(length, dtype):
    found = np.empty(length, dtype)
    clear(found)
    return found


@inner
def offsets(count, length, step):
    """0, step, 2 step, ... of `count` rows, filled up to `length` with the last."""
    found = zeros(length, np.int64)
    for i in range(length):
        found[i] = min(i, count - 1) * step
    return found


@inner
def filled(count, step):
    """Offsets 0, step, ... of `count` rows, filled up to whole tiles."""
    return offsets(count, (count + ROWS - 1) // ROWS * ROWS, step)


@inner
def of_job(job, last, panels):
    """A job's unit, and as many of its panels (first, last + 1) as come before the job `last`: the
    panels of unit 0 come before those of unit 1 and so on."""
    panel = job % panels
    return job // panels, (panel, min(panels, panel + last - job))
