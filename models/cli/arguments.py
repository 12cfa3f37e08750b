"""Values on the command line: each function reads one, or says what it expected."""

from __future__ import annotations

import argparse
import math
from typing import Literal


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
    return "auto" if text == "auto" else sigma(text)


def size_range(text: str) -> tuple[int, int]:
    """Heights of text in pixels, such as 18-36 or 24."""
    smallest, _, largest = text.partition("-")
    sizes = count(smallest), count(largest or smallest)
    if not 6 <= sizes[0] <= sizes[1] <= 200:
        raise argparse.ArgumentTypeError(f"{text!r}: expected heights from 6 to 200, such as 18-36")
    return sizes


def share(text: str) -> float:
    """A part of a whole: from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to below 1")
    return value
