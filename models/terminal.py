"""Text that is safe to show on a terminal."""

from __future__ import annotations


def shown(text: object) -> str:
    """The text for a terminal: line breaks, escape sequences and all else that cannot be printed
    are shown as Python writes them, such as \\x1b."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )
