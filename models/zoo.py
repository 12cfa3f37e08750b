"""Weights that come with the package, each with a card that tells data, recipe, seed and scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from minidl import checkpoint

FOLDER = Path(__file__).parent / "weights"


class NoWeightsError(RuntimeError):
    """No weights for a task come with the package."""


def entries(model: str) -> dict[Path, dict[str, Any]]:
    """The files for a kind of model ("ssda"), with what each says of itself."""
    found = {path: checkpoint.about(path) for path in sorted(FOLDER.glob("*.safetensors"))}
    return {path: about for path, about in found.items() if about.get("model") == model}


def denoiser(sigma: float) -> Path:
    """The denoising weights whose level is nearest to sigma (grey levels of 255), by ratio."""
    known = {
        path: about["damage"]["sigma"]
        for path, about in entries("ssda").items()
        if about["damage"]["kind"] == "noise"
    }
    if not known:
        raise NoWeightsError("no denoising weights come with this package; give --weights FILE")
    return min(known, key=lambda path: abs(math.log(known[path] / sigma)))


def text_remover() -> Path:
    """The weights that take text off a picture."""
    for path, about in entries("ssda").items():
        if about["damage"]["kind"] == "text":
            return path
    raise NoWeightsError("no weights against text come with this package; give --weights FILE")
