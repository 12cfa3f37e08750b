"""Text that is safe to show on a terminal."""

from __future__ import annotations


def printable(text: object) -> str:
    """Return the text for a terminal: characters that cannot be printed, line breaks and escape
    sequences among them, become Python's escapes, such as \\x1b."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )
