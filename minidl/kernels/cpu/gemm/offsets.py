"""Tables of offsets for the micro-kernel, and the order in which its jobs are numbered."""

from __future__ import annotations

import numpy as np

from ..runtime.arrays import zeros
from ..runtime.jit import device_function
from .microkernel import MR


@device_function
def offsets(count, length, step):
    """Return the table 0, step, ... of `count` rows, padded to `length` with the last offset."""
    table = zeros(length, np.int64)
    for i in range(length):
        table[i] = min(i, count - 1) * step
    return table


@device_function
def padded_offsets(count, step):
    """Return the table 0, step, ... of `count` rows, padded to whole tiles with the last offset.

    The micro-kernel computes the last row again for the padding, and stores it at the same place.
    """
    return offsets(count, (count + MR - 1) // MR * MR, step)


@device_function
def job_to_panels(job, last, panels):
    """Decode a job number: return its block, and the panels (first, last + 1) of the block whose
    jobs are job, job + 1, ... before `last`. A block has `panels` jobs, one for each panel."""
    panel = job % panels
    return job // panels, (panel, min(panels, panel + last - job))
