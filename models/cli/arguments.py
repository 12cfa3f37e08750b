"""What goes in at the command line, and what is said when it cannot be used.

Each function for a value reads one, or says what it expected.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Literal

WEIGHTS = "a trained model's file, or the name of one that comes along (default: the one for this)"


def amount(text: str) -> float:
    """A positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number greater than 0")
    return value


def count(text: str) -> int:
    """A whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, at least 1")
    return int(text)


def seed(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


def patch_size(text: str) -> int:
    """The side of a patch in pixels."""
    if not text.isdecimal() or not 4 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 4 to 64")
    return int(text)


def sigma(text: str) -> float:
    """A noise level in grey levels of 255."""
    value = amount(text)
    if value > 255:
        raise argparse.ArgumentTypeError(f"{text!r}: expected at most 255 grey levels")
    return value


def sigma_or_auto(text: str) -> float | Literal["auto"]:
    """A noise level, or the word auto."""
    if text == "auto":
        return "auto"
    try:
        return sigma(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected auto, or a number above 0 and at most 255"
        ) from error


def size_range(text: str) -> tuple[int, int]:
    """Heights of text in pixels, such as 18-36 or 24."""
    smallest, _, largest = text.partition("-")
    largest = largest or smallest
    if not (smallest.isdecimal() and largest.isdecimal()) or not (
        6 <= int(smallest) <= int(largest) <= 200
    ):
        raise argparse.ArgumentTypeError(f"{text!r}: expected heights from 6 to 200, such as 18-36")
    return int(smallest), int(largest)


def box_or_path(text: str) -> tuple[int, int, int, int] | str:
    """A rectangle x,y,width,height in pixels, or the name of a file or folder."""
    numbers = text.split(",")
    if len(numbers) < 2 or not all(n.strip().lstrip("-").isdecimal() for n in numbers):
        return text
    values = [int(n) for n in numbers]
    if len(values) != 4 or min(values) < 0 or not values[2] or not values[3]:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected x,y,width,height in pixels from the top left, such as 120,80,60,40"
        )
    return values[0], values[1], values[2], values[3]


def pixels(text: str) -> int:
    """A whole number of pixels, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of pixels, 0 or more")
    return int(text)


def share(text: str) -> float:
    """A part of a whole: from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to below 1")
    return value


def complain(options: argparse.Namespace, error: BaseException) -> None:
    """Tell of a fault in one line."""
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):  # the CPU's, or the GPU's
        message += _with_less(options)
    print(f"minidl {options.command}: {message}", file=sys.stderr)


def _with_less(options: argparse.Namespace) -> str:
    """What a user can do about memory that is full."""
    batch = getattr(options, "batch", None)
    if getattr(options, "resume", None):  # its batch is that of its beginning
        return "; a new run with a smaller --batch needs less"
    if batch and batch > 1:
        return f"; a smaller batch needs less: --batch {batch // 2}"
    return "; --device cpu may have more" if getattr(options, "device", "cpu") != "cpu" else ""
