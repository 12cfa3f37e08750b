"""Context encoders: the networks' shapes, their losses and gradients, training, resuming."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minidl import Tensor, checkpoint, gradients, nn
from minidl.device import CPU
from models.context_encoder import REPORT, Filler, Settings, Trainer, build, fit, losses
from models.context_encoder.data import Batch, Photographs, split, square
from models.context_encoder.networks import ARCHITECTURES
from models.context_encoder.scores import hole_scores
from models.images.files import PictureError, write
from models.images.samples import NAMES, photograph
from models.run import TrainingError

# The shapes after each layer that changes them, as the paper's authors and the report have them.
SHAPES = {
    ("report", "generator"): "128x128x64 64x64x64 32x32x128 16x16x256 8x8x512 4x4x512 "
    "8x8x256 16x16x128 32x32x64 64x64x64 64x64x3",
    ("report", "discriminator"): "32x32x64 16x16x128 8x8x256 4x4x512 8192 1",
    ("authors", "generator"): "64x64x64 32x32x64 16x16x128 8x8x256 4x4x512 1x1x4000 "
    "4x4x512 8x8x256 16x16x128 32x32x64 64x64x3",
    ("authors", "discriminator"): "32x32x64 16x16x128 8x8x256 4x4x512 1x1x1 1",
    ("compact", "generator"): "64x64x24 32x32x48 16x16x96 8x8x160 16x16x96 32x32x48 64x64x24 "
    "64x64x3",
    ("compact", "discriminator"): "32x32x24 16x16x48 8x8x96 4x4x128 2048 1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three hundred pixels of each photograph that comes along, as a folder of files."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in NAMES:
        write(folder / f"{name}.png", photograph(name)[:200, :200])
    return folder


def trainer(folder: Path, settings: Settings, steps: int = 6, seed: int = 0) -> Trainer:
    side = ARCHITECTURES[settings.net].size
    photographs = Photographs(sorted(folder.iterdir()), side + 8)
    rng = np.random.default_rng(seed)
    return Trainer(settings, photographs, steps=steps, rng=rng, device=CPU)


TINY = Settings(width=1 / 12, batch=4)


# --- exact resume ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        TINY,
        replace(TINY, mask="region"),
        replace(TINY, adversarial=0.0, mask="random"),
        replace(REPORT, width=1 / 32, batch=2),
    ],
    ids=lambda s: f"{s.net}, {s.mask}",
)
def test_resume_is_exact(folder: Path, tmp_path: Path, settings: Settings):
    whole = trainer(folder, settings)
    for _ in whole.run():
        pass
    first = trainer(folder, settings)
    for step in first.run():
        if step == 3:
            break
    checkpoint.save(tmp_path / "c.safetensors", *first.state())
    second = trainer(folder, settings, seed=7)
    second.load_state(*checkpoint.load(tmp_path / "c.safetensors"))
    for _ in second.run():
        pass
    assert second.step == whole.step == 6
    (a, about_a), (b, about_b) = whole.state(), second.state()
    for group, arrays in a.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, b[group][name], err_msg=f"{group} {name}")
    assert about_a == about_b
