"""The weights that ship with the package, found by the task that they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minidl import checkpoint
from minidl.models.ssda.degradation import Damage, Noise, Text
from minidl.models.ssda.restorer import Description

FOLDER = Path(__file__).parent / "weights"
MAX_SIGMA_RATIO = 1.1  # of the weights' noise to the picture's: the best on held-out pictures


class NoWeightsError(RuntimeError):
    """The package has no weights for a task."""


def entries(model: str) -> dict[Path, dict[str, Any]]:
    """Return {file: its description} of the weights for a model ("ssda", "context-encoder")."""
    found = {path: checkpoint.about(path) for path in sorted(FOLDER.glob("*.safetensors"))}
    return {path: about for path, about in found.items() if about.get("model") == model}


def denoisers() -> dict[float, Path]:
    """Return {sigma: weights for noise of that level}, sigma in grey levels of 255, ascending.

    Raises NoWeightsError if there are none.
    """
    known = {damage.sigma: path for path, damage in _damages().items() if isinstance(damage, Noise)}
    if not known:
        raise NoWeightsError("the package has no weights for noise; give --weights FILE")
    return dict(sorted(known.items()))


def _damages() -> dict[Path, Damage]:
    """Return {file: the degradation that it removes}. Raises CheckpointError for a damaged file."""
    return {path: Description.of(path, about).damage for path, about in entries("ssda").items()}


def denoiser(sigma: float) -> Path:
    """Return the weights for noise of level sigma (grey levels of 255).

    If a picture has more noise than a network was trained on, its contrast is scaled down, which
    costs less than a network for too much noise. So this is the file with the highest level up to
    MAX_SIGMA_RATIO * sigma, or else the file with the lowest level.
    """
    known = denoisers()
    fitting = [level for level in known if level <= MAX_SIGMA_RATIO * sigma]
    return known[max(fitting, default=min(known))]


def text_remover() -> Path:
    """Return the weights that remove text. Raises NoWeightsError if there are none."""
    for path, damage in _damages().items():
        if isinstance(damage, Text):
            return path
    raise NoWeightsError("the package has no weights for text; give --weights FILE")


def inpainter(kind: str = "region") -> Path:
    """Return the weights for holes of a kind ("centre", "random", "region"), or else any weights.

    A file that is complete is preferred to one that needs another file. "region" is the default:
    on 43 held-out pictures of the training folder its weights filled squares, ellipses, strokes,
    blocks and regions with a PSNR 0.1 to 0.7 dB above the weights for the centre. Raises
    NoWeightsError if there are none.
    """
    found = entries("context-encoder")
    if not found:
        raise NoWeightsError("the package has no weights for holes; give --weights FILE")
    return min(found, key=lambda path: (found[path].get("mask") != kind, "rest" in found[path]))


def resolve(weights: str) -> Path:
    """Return the file that a user names: a path, or the name of weights of the package.

    Raises NoWeightsError if the name can be neither.
    """
    path = FOLDER / f"{weights}.safetensors"
    if path.is_file():
        return path
    if not Path(weights).suffix and not Path(weights).exists():
        names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.safetensors")))
        raise NoWeightsError(f"{weights}: no such file; the package has {names}")
    return Path(weights)


def by_name(name: str) -> Path:
    """Return the file of weights of the package. Raises NoWeightsError if there is none."""
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise NoWeightsError(f"{name}: the package has no weights of this name")
    return path
