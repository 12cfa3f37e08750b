"""Photographs for training and examples, which scikit-image and matplotlib include.

All are free to use: CC0 (brick, camera, chelsea, coffee, grass, gravel, rocket), public domain
(astronaut by NASA, grace_hopper by the US Navy) or without known restrictions (coins, from the
Brooklyn Museum). They are read from the installed packages, so nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import skimage

from minidl.models.images.files import read

_SKIMAGE = Path(skimage.__file__).parent / "data"
_FILES = {
    "astronaut": _SKIMAGE / "astronaut.png",
    "brick": _SKIMAGE / "brick.png",
    "camera": _SKIMAGE / "camera.png",
    "chelsea": _SKIMAGE / "chelsea.png",
    "coffee": _SKIMAGE / "coffee.png",
    "coins": _SKIMAGE / "coins.png",
    "grace_hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    "grass": _SKIMAGE / "grass.png",
    "gravel": _SKIMAGE / "gravel.png",
    "rocket": _SKIMAGE / "rocket.jpg",
}
NAMES = tuple(_FILES)


def photograph(name: str) -> np.ndarray:
    """Return the pixels (H, W, C) float32 of the photograph with one of NAMES.

    Raises ValueError for another name, PictureError if an installation lacks the file.
    """
    if name not in _FILES:
        raise ValueError(f"photograph: there is no {name!r}; expected one of {', '.join(NAMES)}")
    return read(_FILES[name]).pixels


def grey(pixels: np.ndarray) -> np.ndarray:
    """pixels (H, W, 3) -> their luma (H, W, 1), ITU-R BT.601; (H, W, 1) is returned as it is."""
    if pixels.shape[-1] == 1:
        return pixels
    return 0.299 * pixels[..., 0:1] + 0.587 * pixels[..., 1:2] + 0.114 * pixels[..., 2:3]
