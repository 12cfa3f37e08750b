"""Silence for the libraries below Pillow, which print lines of their own.

A message about a picture is one line, and minidl writes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
from collections.abc import Iterator

from PIL import Image


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep libtiff and Pillow's log from writing to stderr within the block."""
    _silence_libtiff()
    log = logging.getLogger("PIL")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@functools.cache
def _silence_libtiff() -> None:
    """Remove libtiff's handlers of errors and warnings, if Pillow's library exposes them.

    Pillow still raises its errors.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(Image.core.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)
