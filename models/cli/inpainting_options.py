"""The options of the commands that fill holes."""

from __future__ import annotations

import argparse

from .arguments import FORCE, WEIGHTS, amount, box_or_path, count, pixels, seed, share

NETS = ("compact", "report", "authors")
KINDS = ("centre", "random", "block", "region")


def train(command: argparse.ArgumentParser) -> None:
    """The options of `minidl train context-encoder`."""
    command.add_argument("--data", help="a folder of photographs")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", help="a new folder for the run")
    where.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    command.add_argument(
        "--begin",
        metavar="FILE",
        help="begin with a trained model of this kind, or with weights that come along; an "
        "adversary then plays from the start, and not in the last third alone",
    )
    command.add_argument(
        "--freeze-encoder",
        action="store_true",
        default=None,
        help="train the generator's way up alone; the way down stays as it was begun with",
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
        help="of the adversarial loss in the generator's; 0 for none (0.001)",
    )
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=amount, help="about (60)")
    length.add_argument("--steps", type=count, help="exactly so many instead")
    command.add_argument("--batch", type=count, help="pictures to a step (16)")
    command.add_argument("--lr", type=amount, help="of the generator (2e-3; for report 2e-4)")
    command.add_argument("--seed", type=seed, help="of all chance (0)")
    command.add_argument(
        "--every", type=amount, default=120.0, help="seconds between reports (%(default)g)"
    )


def fill(command: argparse.ArgumentParser) -> None:
    """The options of `minidl fill`, besides those of all repairs."""
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
        help="add fine texture from the most similar patches around: sharper, less near",
    )
    mirror(command)


def mirror(command: argparse.ArgumentParser) -> None:
    """The option of all that uses a trained model."""
    command.add_argument(
        "--mirror",
        action="store_true",
        help="take the mean with the filling of the mirrored picture: nearer, in twice the time",
    )


def evaluate(command: argparse.ArgumentParser) -> None:
    """The options of `minidl evaluate context-encoder`."""
    command.add_argument("--data", required=True, help="a folder of photographs, or one of them")
    command.add_argument("--weights", help=WEIGHTS)
    command.add_argument("--limit", type=count, metavar="N", help="only so many, evenly spread")
    command.add_argument("--grid", metavar="FILE", help="write a picture of some of them")
    command.add_argument("--force", action="store_true", help=FORCE)
    command.add_argument("--seed", type=seed, default=0, help="of the holes (%(default)s)")
    mirror(command)
    command.add_argument(
        "--baselines",
        action="store_true",
        help="also biharmonic filling and, with OpenCV, Telea's and Navier-Stokes",
    )
