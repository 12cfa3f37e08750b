"""Docstrings begin with a verb or with the thing that is described."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    str(path.relative_to(ROOT))
    for top in ("minidl", "models", "benchmarks")
    for path in sorted((ROOT / top).rglob("*.py"))
]
OPENINGS = re.compile(
    r"(Also|And|As|But|For|How|In|Likewise|Nor|Of|On|So|Some|Those|To|What|Where|Whether|Who|Whom"
    r"|Whose)\b"
)


def openings(source: str) -> list[str]:
    """The first lines of docstrings that begin with a word that says nothing."""
    nodes = (ast.FunctionDef, ast.ClassDef, ast.Module)
    texts = [ast.get_docstring(n) for n in ast.walk(ast.parse(source)) if isinstance(n, nodes)]
    return [text.splitlines()[0] for text in texts if text and OPENINGS.match(text)]


@pytest.mark.parametrize("file", FILES)
def test_a_docstring_begins_with_what_it_is_about(file: str) -> None:
    assert openings((ROOT / file).read_text(encoding="utf-8")) == []


def test_openings_are_seen() -> None:
    assert openings('def f():\n    """Those of y."""\n\n"""What."""') == ["Those of y."]
    assert openings('"""Whether x."""\ndef f():\n    """Return x, as y."""') == ["Whether x."]
