"""The lines that libraries below Pillow would print on their own: kept to themselves.

A message about a picture is one line, and it is ours.
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
    """Within, neither libtiff nor Pillow's own log writes to stderr."""
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
    """Take its handlers of errors and warnings away, where they can be reached: in the library that
    Pillow's own is linked with. Pillow raises an error all the same."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(Image.core.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)
