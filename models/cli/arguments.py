"""The arguments of the command line, and the messages for bad ones.

Each function for a value parses one, or raises an error that says what it expected.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from typing import Literal, NoReturn

from minidl.models.terminal import printable

MAX_COUNT = 10**9
FORCE = "replace files that exist"
WEIGHTS = "a trained model's file, or the name of weights that are included (default: the best fit)"


def amount(text: str) -> float:
    """Parse a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number greater than 0")
    return value


def _whole(text: str, smallest: int, largest: int, expected: str) -> int:
    """Parse a whole number of at most 40 digits within limits."""
    if not re.fullmatch("[0-9]{1,40}", text) or not smallest <= int(text) <= largest:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return int(text)


def count(text: str) -> int:
    """Parse a whole number, at least 1."""
    return _whole(text, 1, MAX_COUNT, "a whole number, at least 1 and at most a billion")


def seed(text: str) -> int:
    """Parse a whole number, 0 or more."""
    return _whole(text, 0, 10**40, "a whole number, 0 or more")


def patch_size(text: str) -> int:
    """Parse the side of a patch in pixels."""
    return _whole(text, 4, 64, "a whole number from 4 to 64")


def sigma(text: str) -> float:
    """Parse a noise level in grey levels of 255."""
    value = amount(text)
    if value > 255:
        raise argparse.ArgumentTypeError(f"{text!r}: expected at most 255 grey levels")
    return value


def sigma_or_auto(text: str) -> float | Literal["auto"]:
    """Parse a noise level, or the word auto."""
    if text == "auto":
        return "auto"
    try:
        return sigma(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected auto, or a number above 0 and at most 255"
        ) from error


def size_range(text: str) -> tuple[int, int]:
    """Parse heights of text in pixels, such as 18-36 or 24."""
    ends = re.fullmatch("([0-9]{1,3})(?:-([0-9]{1,3}))?", text)
    smallest, largest = (int(n) for n in (ends[1], ends[2] or ends[1])) if ends else (0, 0)
    if not 6 <= smallest <= largest <= 200:
        raise argparse.ArgumentTypeError(f"{text!r}: expected heights from 6 to 200, such as 18-36")
    return smallest, largest


def box_or_path(text: str) -> tuple[int, int, int, int] | str:
    """Parse a rectangle x,y,width,height in pixels, or the name of a file or folder."""
    numbers = [n.strip() for n in text.split(",")]
    if len(numbers) < 2 or not all(re.fullmatch("-?[0-9]+", n) for n in numbers):
        return text
    values = [int(n) if len(n) < 10 else MAX_COUNT for n in numbers]  # more than any picture has
    if len(values) != 4 or min(values) < 0 or not values[2] or not values[3]:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected x,y,width,height in pixels from the top left, such as 120,80,60,40"
        )
    return values[0], values[1], values[2], values[3]


def pixels(text: str) -> int:
    """Parse a whole number of pixels, 0 or more."""
    return _whole(text, 0, MAX_COUNT, "a whole number of pixels, 0 or more")


def share(text: str) -> float:
    """Parse a share: from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to below 1")
    return value


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, whatever characters and values it gets."""

    def error(self, message: str) -> NoReturn:
        if len(message) > 2 * MESSAGE_END:
            message = f"{message[:MESSAGE_END]} ... {message[-MESSAGE_END:]}"
        super().error(printable(message))

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse "--limit=--": argparse takes its "--" for the end of options."""
        given = list(sys.argv[1:] if args is None else args)
        options = given[: given.index("--")] if "--" in given else given
        for argument in options:
            if name := re.fullmatch("(--[^=]+)=--|(-[^-])--", argument):
                self.error(f"argument {name[1] or name[2]}: '--' is no value")
        return super().parse_known_args(given, namespace)


MESSAGE_END = 250  # characters that are kept at either end of a long message


def complain(options: argparse.Namespace, error: BaseException) -> None:
    """Print an error as one line on stderr."""
    message = printable(str(error).strip()) or type(error).__name__
    if isinstance(error, MemoryError):  # the CPU's, or the GPU's
        message += _with_less(options)
    print(f"minidl {options.command}: {message}", file=sys.stderr)


def _with_less(options: argparse.Namespace) -> str:
    """Return advice for a user whose memory is full."""
    batch = getattr(options, "batch", None)
    if getattr(options, "resume", None):  # the run's batch cannot change
        return "; a new run with a smaller --batch needs less"
    if batch and batch > 1:
        return f"; a smaller batch needs less: --batch {batch // 2}"
    return "; --device cpu may have more" if getattr(options, "device", "cpu") != "cpu" else ""
