"""`minidl train context-encoder`, `minidl evaluate context-encoder` and `minidl fill`."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from minidl import device
from models.context_encoder import REPORT, Filler, Settings, fit
from models.run import TrainingError


def train(options: argparse.Namespace) -> int:
    """Train a context encoder, or go on training it."""
    folder = options.resume or options.out
    try:
        _resume(options) if options.resume else _start(options)
    except KeyboardInterrupt as interrupt:
        hint = f"go on with: minidl train context-encoder --resume {folder}"
        raise KeyboardInterrupt(hint) from interrupt
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
    names = ("data", "net", "mask", "adversarial", "minutes", "steps", "batch", "rate", "seed")
    given = [f"--{name}" for name in names if getattr(options, name) is not None]
    if given:
        raise TrainingError(f"--resume goes on with what the run began with; drop {given[0]}")
    return fit.resume(options.resume, every=options.every, quiet=options.json)
