"""Exercises of lesson 5. Test your answers with `pytest -m lesson05`."""

from __future__ import annotations

import numpy as np


def write_over(clean: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(1 - a) y + a c: pixels (H, W, C) under text of one colour (C,), with coverage (H, W).

    `clean` itself is left as it is.
    """
    raise NotImplementedError


def diffuse(picture: np.ndarray, mask: np.ndarray, steps: int) -> np.ndarray:
    """`steps` times: every pixel of the mask becomes the mean of its neighbours, all at once.

    picture, mask (H, W). A pixel inside has four neighbours, one at the border three, one in a
    corner two. Pixels outside of the mask stay, and `picture` itself is left as it is.
    """
    raise NotImplementedError


def found_and_missed(found: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """(precision, recall): which part of the pixels found is text, which part of the text is found.

    found, mask: booleans of one shape. If nothing was found, nothing of it is wrong: precision 1.
    If there is no text, nothing is missed: recall 1.
    """
    raise NotImplementedError
