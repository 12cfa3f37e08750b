"""Text taken off a picture: found by an SSDA, and what it hides filled in.

The network says of each pixel how surely it is written over. Where that is probable, the pixels are
taken away and the smooth surface that goes on from those around them is put there.
"""

from __future__ import annotations

import numpy as np
from skimage.restoration import inpaint_biharmonic

UNTOUCHED, TOUCHED = 0.1, 0.2  # how far text lies from what is under it: hardly, surely
SURE = 0.25  # pixels more surely written over than this are filled


def keep_untouched(written: np.ndarray, repaired: np.ndarray) -> np.ndarray:
    """The repaired picture (H, W, C) where it differs much from the one written over, which stays
    elsewhere: text is nowhere near what it hides, and an auto-encoder blurs what it leaves alone.
    """
    share = (np.abs(repaired - written) - UNTOUCHED) / (TOUCHED - UNTOUCHED)
    return written + np.clip(share, 0, 1) * (repaired - written)


def fill(written: np.ndarray, text: np.ndarray) -> np.ndarray:
    """written (H, W, C), and how surely text lies on each pixel (H, W) -> without it (H, W, C)."""
    mask = text > SURE
    if mask.all():
        return written
    return inpaint_biharmonic(written, mask, channel_axis=-1).astype(written.dtype)
