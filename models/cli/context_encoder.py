"""`minidl train context-encoder`, `minidl evaluate context-encoder` and `minidl fill`."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import replace
from pathlib import Path

from minidl import device
from models.context_encoder import REPORT, Filler, Settings, fit
from models.run import Run, TrainingError

FIXED = ("data", "net", "mask", "adversarial", "minutes", "steps", "batch", "rate", "seed")


def train(options: argparse.Namespace) -> int:
    """Train a context encoder, or go on training it."""
    folder = options.resume or options.out
    try:
        _resume(options) if options.resume else _start(options)
    except KeyboardInterrupt as interrupt:
        if not Run(Path(folder), {}, []).checkpoint.exists():
            raise
        command = f"minidl train context-encoder --resume {shlex.quote(folder)}"
        raise KeyboardInterrupt(f"go on with: {command}") from interrupt
    if options.json:
        print(json.dumps({"run": folder, "model": f"{folder}/model.safetensors"}))
    else:
        print(f"{folder}: curves.png, samples.png, log.csv, model.safetensors")
        print(f"try: minidl fill PICTURE --mask MASK -o OUT --weights {folder}/model.safetensors")
    return 0


def _start(options: argparse.Namespace) -> Filler:
    if not options.data:
        raise TrainingError("--data is missing: expected a folder of photographs")
    return fit.start(
        options.out,
        options.data,
        _settings(options),
        seed=options.seed or 0,
        steps=options.steps,
        minutes=options.minutes or 60.0,
        place=device.choose(options.device),
        every=options.every,
        quiet=options.json,
    )


def _settings(options: argparse.Namespace) -> Settings:
    settings = REPORT if options.net == "report" else Settings()
    given = {
        "net": options.net,
        "mask": options.mask,
        "adversarial": options.adversarial,
        "generator_rate": options.rate,
        "batch": options.batch,
    }
    return replace(settings, **{k: v for k, v in given.items() if v is not None})


def _resume(options: argparse.Namespace) -> Filler:
    for name in FIXED:
        if getattr(options, name) is not None:
            raise TrainingError(f"--resume goes on with what the run began with; drop --{name}")
    place = None if options.device == "auto" else device.choose(options.device)
    return fit.resume(options.resume, place=place, every=options.every, quiet=options.json)
