"""`minidl train`: from a folder of pictures to a run's folder with a trained model."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from minidl.device import choose
from minidl.models.images.samples import NAMES, grey, photograph
from minidl.models.ssda import RECIPES, Noise, Recipe, Restorer, Text, recipe_for, training
from minidl.models.ssda.degradation import Damage
from minidl.models.terminal import printable
from minidl.models.training.run_folder import CHECKPOINT, MODEL, Run, TrainingError

T = TypeVar("T")

# Options that may change when a run is resumed.
CHANGEABLE = (
    "command", "model", "function", "out", "resume", "data", "every", "device", "json",
)  # fmt: skip


def ssda(options: argparse.Namespace) -> int:
    """Train a denoiser or a text remover, or resume its training."""
    restorer = train_or_resume(
        options, _start, training.resume, lambda data: _images(options.data or data)
    )
    task = "denoise" if isinstance(restorer.damage, Noise) else "remove-text"
    return print_result(options, f"{task} PICTURE")


def train_or_resume(
    options: argparse.Namespace,
    start: Callable[[argparse.Namespace], T],
    resume: Callable[..., T],
    data: Any,
) -> T:
    """Return the trained model of a new run, or of the run that `--resume` names.

    start: called with the options. resume: called with the run's folder and `data`. The message of
    a signal names the command that resumes the run. Raises TrainingError for an option that cannot
    change.
    """
    with _resume_hint(options):
        if not options.resume:
            return start(options)
        for name, value in vars(options).items():
            if name not in CHANGEABLE and value is not None:
                option = name.replace("_", "-")
                raise TrainingError(f"--resume keeps the run's own options; drop --{option}")
        device = None if options.device == "auto" else choose(options.device)
        return resume(options.resume, data, device=device, every=options.every, quiet=options.json)


@contextlib.contextmanager
def _resume_hint(options: argparse.Namespace) -> Iterator[None]:
    """Add the command that resumes the run to the message of a signal within the block."""
    folder = options.resume or options.out
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not (Path(folder) / CHECKPOINT).exists():
            raise
        command = f"minidl train {options.model} --resume {shlex.quote(folder)}"
        interrupt.args = (f"continue with: {printable(command)}",)
        raise


def print_result(options: argparse.Namespace, use: str) -> int:
    """Print the files of the run's folder, and a command that uses the model; return 0.

    use: that command without its options, such as "denoise PICTURE".
    """
    folder = Path(options.resume or options.out)
    model = folder / MODEL
    if options.json:
        print(json.dumps({"run": str(folder), "model": str(model)}))
    else:
        names = ", ".join(sorted(path.name for path in folder.iterdir()))
        print(printable(f"{folder}: {names}"))
        print(printable(f"try: minidl {use} -o OUT --weights {shlex.quote(str(model))}"))
    return 0


def _start(options: argparse.Namespace) -> Restorer:
    recipe = _recipe(options)
    options.batch = recipe.batch  # an error of full memory names a smaller one
    device = choose(options.device)
    Run.check_new(options.out)  # before the pictures are read, which may take a while
    return training.start(
        options.out,
        _images(options.data or ""),
        damage=_damage(options),
        recipe=recipe,
        seed=options.seed or 0,
        steps=options.steps,
        minutes=options.minutes or 30.0,
        data=options.data or "",
        device=device,
        every=options.every,
        quiet=options.json,
    )


def _images(data: str) -> Sequence[np.ndarray]:
    """Return the grey pictures (H, W) of a folder, by default the included photographs."""
    if data:
        return training.read_folder(data)
    return [grey(photograph(name))[..., 0] for name in NAMES]


def _damage(options: argparse.Namespace) -> Damage:
    return Text(*options.text) if options.text else Noise(options.sigma or 25.0)


def _recipe(options: argparse.Namespace) -> Recipe:
    working = options.recipe in (None, "working")
    recipe = recipe_for(_damage(options)) if working else RECIPES[options.recipe]
    if options.patch:
        recipe = replace(recipe, patch=options.patch)
    if options.hidden:
        recipe = replace(recipe, hidden=(options.hidden,) * len(recipe.hidden))
    if options.batch:
        recipe = replace(recipe, batch=options.batch)
    if options.lr:
        factor = options.lr / recipe.learning_rates[-1]
        recipe = replace(
            recipe, learning_rates=tuple(rate * factor for rate in recipe.learning_rates)
        )
    if options.optimizer and options.optimizer != recipe.optimizer:
        lbfgs = options.optimizer == "lbfgs"
        recipe = replace(
            recipe,
            optimizer=options.optimizer,
            batch=options.batch or (10_000 if lbfgs else 256),
            steps_per_batch=20 if lbfgs else 1,
        )
    return recipe
