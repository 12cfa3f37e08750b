"""Exercises of lesson 5. Test your answers with `pytest -m lesson05`."""

from __future__ import annotations

import numpy as np


def write_over(clean: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return (1 - a) y + a c: pixels (H, W, C) under text of one colour (C,), coverage (H, W).

    Do not change `clean`.
    """
    raise NotImplementedError


def diffuse(picture: np.ndarray, mask: np.ndarray, steps: int) -> np.ndarray:
    """Set every pixel of the mask to the mean of its neighbours, all at once; `steps` times.

    picture, mask (H, W). A pixel inside the picture has four neighbours, one at the border
    three, one in a corner two. Pixels outside of the mask stay. Do not change `picture`.
    """
    raise NotImplementedError


def found_and_missed(found: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Return (precision, recall): the share of found pixels that is text, of text that is found.

    found, mask: booleans of one shape. If nothing is found, the precision is 1. If there is no
    text, the recall is 1.
    """
    raise NotImplementedError
