"""Defaults, constants and limits of the models: each is a promise, and is written down here."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_origin

import pytest

from minidl import models
from minidl.models.context_encoder import REPORT, Settings, networks
from tests.test_defaults import settings

PARTS = ("cli", "context_encoder", "images", "ssda", "training", "zoo")

CONSTANTS: dict[str, Any] = {
    "cli.arguments.MAX_COUNT": 10**9,
    "cli.arguments.MESSAGE_END": 250,
    "cli.context_encoder.GRID_PICTURES": 8,
    "cli.demo.HOLE_SIDE": 96,
    "cli.repair.MIN_NOISE": 0.5,
    "context_encoder.data.MAX_BEYOND_SHARE": 0.1,
    "context_encoder.data.JITTER": 0.1,
    "context_encoder.data.MAX_KEPT_BYTES": 2**32,
    "context_encoder.data.MARGIN_DIVISOR": 16,
    "context_encoder.data.MIN_CROP_SHARE": 0.7,
    "context_encoder.inpainter.BATCH": 16,
    "context_encoder.inpainter.MAX_MASK_SHARE": 0.6,
    "context_encoder.inpainter.MIN_COVERAGE": 0.02,
    "context_encoder.laplace.SWEEPS": 4,
    "context_encoder.masks.MAX_BLOCKS": 5,
    "context_encoder.masks.PAPER_OVERLAP_WEIGHT": 10.0,
    "context_encoder.masks._THRESHOLD": 0.25,
    "context_encoder.masks._MIN_SHARE": 0.2,
    "context_encoder.masks._MAX_SHARE": 0.3,
    "context_encoder.masks._PATTERN_SIDE": 2048,
    "context_encoder.masks._RESOLUTION": 0.06,
    "context_encoder.scores.MAX_PICTURES": {"biharmonic": 24},
    "context_encoder.texture_transfer.COARSE_SIGMA": 1.5,
    "context_encoder.texture_transfer.PATCH_SIDE": 12,
    "context_encoder.texture_transfer.SAMPLES_PER_SIDE": 6,
    "context_encoder.trainer.SYNC_EVERY": 20,
    "context_encoder.training.SAMPLE_COLUMNS": 6,
    "context_encoder.training.TRIAL_STEPS": 20,
    "context_encoder.windows.MIN_RIM": 2,
    "context_encoder.windows.MERGE_DISTANCE": 0.02,
    "context_encoder.blending.RIM_PIXELS": 3,
    "context_encoder.blending.ERROR_SIGMA": 1.5,
    "context_encoder.windows.MAX_ASPECT": 2,
    "context_encoder.windows.MAX_THICKNESS_SHARE": 0.11,
    "context_encoder.windows.MAX_HOLE_SHARE": 0.5,
    "images.files._MAX_PIXELS_PER_BYTE": 10_000,
    "images.files._SAVE_OPTIONS": {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}},
    "images.files._SMALL_PIXELS": 2**24,
    "images.noise.BRIGHTNESS_BINS": 12,
    "images.noise.MIN_INFORMATIVE_SHARE": 0.25,
    "images.noise.MIN_RATIO": 0.15,
    "images.noise.NEIGHBOURHOOD": 5,
    "images.noise.OUTLIER_SCALE": 0.3,
    "images.noise.FIT_ROUNDS": 8,
    "images.noise.MAX_EVEN_RATIO": 2.0,
    "images.scores.NORMAL_MEDIAN": 0.67449,
    "ssda.degradation.SHEET_SIDE": 512,
    "ssda.degradation.SHEET_COUNT": 128,
    "ssda.recipes.SATURATING_SIGMA": 50.0,
    "ssda.restorer.MAX_SCALE": 1.6,
    "ssda.restorer.STRIDE": 3,
    "ssda.restorer.WIENER_WINDOW": 11,
    "ssda.restorer.WINDOW_SPREAD": 0.25,
    "ssda.text_inpainting.MIN_PROBABILITY": 0.03,
    "ssda.text_inpainting.PROBABILITY_LOW": 0.1,
    "ssda.text_inpainting.TILE_MARGIN": 24,
    "ssda.text_inpainting.PROBABILITY_HIGH": 0.6,
    "ssda.text_inpainting.TENSION": 1.0,
    "ssda.text_inpainting.TILE_SIDE": 256,
    "ssda.text_inpainting.CHANGE_HIGH": 0.2,
    "ssda.text_inpainting.FIDELITY": 1.2,
    "ssda.text_inpainting.CHANGE_LOW": 0.1,
    "ssda.trainer.SYNC_EVERY": 100,
    "ssda.training.MAX_PIXELS": 500 * 10**6,
    "ssda.training.TRIAL_SECONDS": 1.0,
    "ssda.training.VALIDATION_COUNT": 20,
    "ssda.training.VALIDATION_SHARE": 20,
    "ssda.training.VALIDATION_SIDE": 192,
    "ssda.training.VALIDATION_STRIDE": 4,
    "training.run_folder.MAX_CONFIG_BYTES": 2**20,
    "zoo.MAX_SIGMA_RATIO": 1.1,
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "cli.repair.repair_all": {"unit": "patch"},
    "context_encoder.data.Photographs": {"quiet": True},
    "context_encoder.data.split": {"share": 40, "limit": 128},
    "context_encoder.inpainter.Inpainter": {
        "width": 1.0, "flip_average": False, "texture": False
    },
    "context_encoder.inpainter.Inpainter.load": {"flip_average": False, "texture": False},
    "context_encoder.inpainter.Inpainter.new": {"width": 1.0, "overlap_weight": 10.0},
    "context_encoder.masks.Holes": {"overlap": 0, "overlap_weight": 10.0, "prefilled": False},
    "context_encoder.networks.architecture.Architecture": {"prefilled": False},
    "context_encoder.networks.compact.CompactGenerator": {
        "size": 128, "blocks": 4, "skip_connections": True
    },
    "context_encoder.networks.build": {"full_image": False, "width": 1.0},
    "context_encoder.settings.Settings": {
        "net": "compact", "mask": "centre", "overlap": 4, "adversarial": 0.001,
        "generator_rate": 2e-3, "discriminator_rate": 2e-4, "batch": 16, "width": 1.0,
        "overlap_weight": 1.0, "decay_share": 1.0, "warmup_share": 2 / 3, "beta1": 0.9,
        "freeze_encoder": False,
    },
    "context_encoder.texture_transfer.transfer_texture": {"scale": 1.0},
    "context_encoder.training.grid": {"gap": 4},
    "context_encoder.training.resume": {"every": 120.0, "quiet": False},
    "context_encoder.training.start": {
        "seed": 0, "minutes": 60.0, "every": 120.0, "quiet": False
    },
    "images.corruptions.add_text": {"spacing": 1.4, "colours": "black-white"},
    "images.corruptions.text_sheet": {"spacing": 1.4, "grey": 0.1},
    "images.files.Picture": {"bits": 8},
    "images.patches.PatchSampler": {"upright": False},
    "images.patches.gaussian_window": {"spread": 0.25},
    "images.patches.map_patches": {"batch": 4096},
    "ssda.degradation.Text": {"smallest": 18, "largest": 36},
    "ssda.network.DenoisingAutoencoder": {"gain": 1.0, "of_hidden": False},
    "ssda.network.Penalty": {"error": "half-sum", "beta": 0.0, "rho": 0.05, "decay": 0.0},
    "ssda.network.SSDA": {"gain": 1.0},
    "ssda.patch_coding.Coding": {"centre": "mean", "gain": 6.0, "contrast": 0.6, "margin": 0.02},
    "ssda.patch_coding.TextCoding": {
        "inner": 8, "gain": 6.0, "extreme": 0.02, "even": 0.01, "visible": 0.03, "contrast": 0.6,
        "margin": 0.02,
    },
    "ssda.recipes.Recipe": {
        "patch": 12, "gain": 4.0, "initial_activation": 0.05, "optimizer": "adam", "batch": 256,
        "steps_per_batch": 1
    },
    "ssda.restorer.Restorer.repair": {"stride": 3, "use_network_pixels": False},
    "ssda.restorer.Restorer.repair_channel": {
        "scale": 1.0, "stride": 3, "find_text": False
    },
    "ssda.training.resume": {"every": 60.0, "quiet": False},
    "ssda.training.start": {
        "seed": 0, "minutes": 30.0, "data": "", "every": 60.0, "quiet": False
    },
    "ssda.training.large_enough": {"data": ""},
    "zoo.inpainter": {"kind": "region"},
}  # fmt: skip

LIMITS = {
    "context_encoder.inpainter.Width": "above 0 and at most 64",
    "context_encoder.masks.Kind": "centre or random or block or region",
    "context_encoder.masks.Overlap": "from 0 to 1024",
    "context_encoder.masks.Weight": "from 0 to 1e+06",
    "context_encoder.settings.Rate": "above 0 and at most 1e+38",
    "context_encoder.settings.Share": "from 0 to 1",
    "ssda.patch_coding.Margin": "from 0 to below 0.5",
    "ssda.patch_coding.Scale": "from 1e-06 to 1e+06",
    "ssda.recipes.Activation": "above 0 and below 1",
    "ssda.recipes.Rate": "above 0 and at most 1e+38",
    "ssda.recipes.StepsPerBatch": "from 0 to 1e+09",
    "ssda.restorer.Hidden": "from 1 to 64 of from 1 to 1e+06",
    "ssda.restorer.Patch": "from 2 to 1024",
}


def modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield (name, module) of all parts of the models."""
    for info in pkgutil.walk_packages(models.__path__, f"{models.__name__}."):
        name = info.name.removeprefix(f"{models.__name__}.")
        if name.split(".")[0] in PARTS:
            yield name, importlib.import_module(info.name)


def assigned(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of everything that the module itself defines, without its imports."""
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                yield name, getattr(module, name)


def numeric(value: Any) -> bool:
    """Return True if a value is a number, or a dictionary of numbers."""
    if isinstance(value, dict):
        return bool(value) and all(map(numeric, value.values()))
    return isinstance(value, int | float)


def limits(kind: Any) -> str:
    """Return the limits of an annotation; for a tuple also the limits of each entry."""
    inner = getattr(kind.__origin__, "__args__", ())
    of_each = [limits(entry) for entry in inner if get_origin(entry) is Annotated]
    return " of ".join([*map(str, kind.__metadata__), *of_each])


def takers(name: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield (name, function or class) of everything public in a module."""
    for key, value in vars(module).items():
        if key[0] == "_" or not callable(value) or value.__module__ != module.__name__:
            continue
        yield f"{name}.{key}", value
        if inspect.isclass(value):
            for method in (m for m in vars(value) if m[0] != "_"):
                if callable(getattr(value, method)):
                    yield f"{name}.{key}.{method}", getattr(value, method)


def test_constants_are_what_they_were() -> None:
    found = {
        f"{name}.{key}": value
        for name, module in modules()
        for key, value in assigned(module)
        if numeric(value)
    }
    assert found == CONSTANTS


def test_defaults_are_what_they_were() -> None:
    found = {
        key: settings(taker)
        for name, module in modules()
        for key, taker in takers(name, module)
        if not (inspect.isclass(taker) and issubclass(taker, BaseException | dict))
        and not key.startswith("cli.arguments.Parser")
    }
    assert {key: values for key, values in found.items() if values} == DEFAULTS


def test_limits_are_what_they_were() -> None:
    found = {
        f"{name}.{key}": limits(value)
        for name, module in modules()
        for key, value in assigned(module)
        if get_origin(value) is Annotated
    }
    assert found == LIMITS


def test_the_reports_settings() -> None:
    assert asdict(REPORT).items() - asdict(Settings()).items() == {
        ("net", "report"), ("generator_rate", 2e-4), ("overlap_weight", 10.0),
        ("decay_share", 1 / 3), ("warmup_share", 0.0), ("beta1", 0.5),
    }  # fmt: skip
    assert REPORT.discriminator_rate == 2e-4


@pytest.mark.parametrize(
    ("net", "size", "hole", "prefilled"),
    [("compact", 128, 64, True), ("report", 256, 64, False), ("authors", 128, 64, False)],
)
def test_sizes_of_the_networks(net: str, size: int, hole: int, prefilled: bool) -> None:
    found = networks.by_name(net)
    assert (found.size, found.hole, found.prefilled) == (size, hole, prefilled)
