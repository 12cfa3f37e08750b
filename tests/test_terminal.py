"""Names on a terminal, with any characters."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidl.models.terminal import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größe 猫.png", "größe 猫.png"),
        ("a\033[31mRED", r"a\x1b[31mRED"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udcff", r"\udcff"),
        (Path("a\x9bb"), r"a\x9bb"),
    ],
)
def test_what_cannot_be_printed_is_shown_escaped(text: object, expected: str) -> None:
    assert printable(text) == expected
