"""The options of the commands that fill holes."""

from __future__ import annotations

import argparse

from .arguments import FORCE, WEIGHTS, amount, box_or_path, count, pixels, seed, share

NETS = ("compact", "report", "authors")
KINDS = ("centre", "random", "block", "region")


def train(command: argparse.ArgumentParser) -> None:
    """Add the options of `minidl train context-encoder`."""
    command.add_argument("--data", help="a folder of photographs")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", help="a new folder for the run")
    where.add_argument("--resume", metavar="RUN", help="resume the run in this folder")
    command.add_argument(
        "--begin",
        metavar="FILE",
        help="start from a trained model of this kind, or from included weights; the adversarial"
        " loss then applies from the first step, not only in the last third",
    )
    command.add_argument(
        "--freeze-encoder",
        action="store_true",
        default=None,
        help="train only the generator's decoder; the encoder keeps the weights of --begin",
    )
    command.add_argument(
        "--net",
        choices=NETS,
        help="compact is for two CPU cores, report the Keras network, 256 pixels (compact)",
    )
    command.add_argument(
        "--mask",
        choices=KINDS,
        help="a square in the centre or anywhere, several blocks, or shapes of any form (centre)",
    )
    command.add_argument(
        "--adversarial",
        type=share,
        metavar="SHARE",
        help="share of the adversarial loss in the generator's; 0 for none (0.001)",
    )
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=amount, help="approximate length of the training (60)")
    length.add_argument("--steps", type=count, help="exact length instead, in steps")
    command.add_argument("--batch", type=count, help="pictures per step (16)")
    command.add_argument(
        "--lr", type=amount, help="learning rate of the generator (2e-3; for report 2e-4)"
    )
    command.add_argument("--seed", type=seed, help="seed of the random numbers (0)")
    command.add_argument(
        "--every", type=amount, default=120.0, help="seconds between reports (%(default)g)"
    )


def fill(command: argparse.ArgumentParser) -> None:
    """Add the options of `minidl fill`, besides those of all repairs."""
    command.add_argument(
        "--mask",
        required=True,
        type=box_or_path,
        metavar="MASK|x,y,w,h",
        help="white where there is a hole: a picture of the same size, a folder of such with the"
        " pictures' names, or a rectangle from the top left",
    )
    command.add_argument("--invert-mask", action="store_true", help="black is the hole")
    command.add_argument(
        "--grow",
        type=pixels,
        default=0,
        metavar="N",
        help="make holes N pixels wider (%(default)s)",
    )
    command.add_argument(
        "--texture",
        action="store_true",
        help="add texture copied from similar patches: sharper, but less accurate",
    )
    mirror(command)


def mirror(command: argparse.ArgumentParser) -> None:
    """Add the option --mirror."""
    command.add_argument(
        "--mirror",
        action="store_true",
        help="average with the prediction for the flipped picture: more accurate, twice the time",
    )


def evaluate(command: argparse.ArgumentParser) -> None:
    """Add the options of `minidl evaluate context-encoder`."""
    command.add_argument("--data", required=True, help="a folder of photographs, or one of them")
    command.add_argument("--weights", help=WEIGHTS)
    command.add_argument(
        "--limit", type=count, metavar="N", help="only N pictures, at equal distances in the list"
    )
    command.add_argument("--grid", metavar="FILE", help="write a picture of some results")
    command.add_argument("--force", action="store_true", help=FORCE)
    command.add_argument("--seed", type=seed, default=0, help="seed of the holes (%(default)s)")
    mirror(command)
    command.add_argument(
        "--baselines",
        action="store_true",
        help="also biharmonic filling and, with OpenCV, Telea's and Navier-Stokes",
    )
