"""The options of the commands that train and score an SSDA."""

from __future__ import annotations

import argparse

from .arguments import WEIGHTS, amount, count, patch_size, seed, sigma, size_range


def train(command: argparse.ArgumentParser) -> None:
    """Add the options of `minidl train ssda`."""
    command.add_argument("--data", help="a folder of pictures (default: ten that are included)")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", help="a new folder for the run")
    where.add_argument("--resume", metavar="RUN", help="resume the run in this folder")
    _damage(command)
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=amount, help="approximate length of the training (30)")
    length.add_argument("--steps", type=count, help="exact length instead, in steps")
    command.add_argument(
        "--recipe",
        choices=("working", "paper", "naive"),
        help="working; or, to see why they fail, the paper taken literally or misread (working)",
    )
    command.add_argument(
        "--patch", type=patch_size, help="pixels to a side of a patch (12; text: 20)"
    )
    command.add_argument("--hidden", type=count, help="units of each hidden layer (720; text: 576)")
    command.add_argument("--batch", type=count, help="patches per step (256; paper: 10,000)")
    command.add_argument(
        "--lr",
        type=amount,
        help="learning rate of fine-tuning; that of pre-training changes in proportion (0.004)",
    )
    command.add_argument(
        "--optimizer", choices=("adam", "lbfgs"), help="instead of the recipe's own"
    )
    command.add_argument("--seed", type=seed, help="seed of the random numbers (0)")
    command.add_argument(
        "--every", type=amount, default=60.0, help="seconds between reports (%(default)g)"
    )


def evaluate(command: argparse.ArgumentParser) -> None:
    """Add the options of `minidl evaluate ssda`."""
    command.add_argument("--data", required=True, help="a folder of clean pictures, or one picture")
    command.add_argument("--weights", help=WEIGHTS)
    _damage(command)
    command.add_argument(
        "--stride", type=count, default=3, help="pixels between patches (%(default)s)"
    )
    command.add_argument("--seed", type=seed, default=0, help="seed of the damage (%(default)s)")
    command.add_argument("--baselines", action="store_true", help="also classical methods")


def _damage(command: argparse.ArgumentParser) -> None:
    damage = command.add_mutually_exclusive_group()
    damage.add_argument(
        "--sigma", type=sigma, metavar="N", help="noise, in grey levels of 255 (25)"
    )
    damage.add_argument(
        "--text",
        type=size_range,
        nargs="?",
        const=(18, 36),
        metavar="SMALLEST-LARGEST",
        help="instead of noise: text of this height in pixels (18-36)",
    )
