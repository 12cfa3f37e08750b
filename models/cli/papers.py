"""The options of `minidl reproduce`."""

from __future__ import annotations

import argparse

from .arguments import amount, seed


def ssda(command: argparse.ArgumentParser) -> None:
    """The options of `minidl reproduce ssda`."""
    command.add_argument(
        "--data",
        required=True,
        help="a folder with set12/, bsd68/ and mnist/; what is not there is left out by name",
    )
    command.add_argument(
        "--out",
        required=True,
        help="a folder for the pages; what was finished in it by an earlier run is used again",
    )
    command.add_argument("--train", help="a folder of photographs to train on, for the ablation")
    command.add_argument(
        "--minutes", type=amount, default=2.0, help="for each recipe of the ablation (%(default)g)"
    )
    _both(command)


def context_encoder(command: argparse.ArgumentParser) -> None:
    """The options of `minidl reproduce context-encoder`."""
    command.add_argument("--data", required=True, help="a folder of photographs to score on")
    command.add_argument(
        "--out",
        required=True,
        help="a folder for the pages; what was finished in it by an earlier run is used again",
    )
    command.add_argument(
        "--train",
        help="a folder of other photographs, for neighbours, features, critics and the ablation",
    )
    _both(command)


def _both(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="a look at everything in few minutes")
    command.add_argument(
        "--publishable",
        action="store_true",
        help="pages without pictures of what was given, which may not be ours to pass on",
    )
    command.add_argument(
        "--force", action="store_true", help="write into a folder that holds other files, too"
    )
    command.add_argument("--seed", type=seed, default=0, help="of all chance (%(default)s)")
