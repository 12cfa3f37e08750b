"""Docstrings begin with a verb or with the thing that is described; odd words do not occur."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("minidl", "models", "benchmarks", "tests", "tutorials", "docs")
CODE = [
    str(path.relative_to(ROOT)) for top in FOLDERS for path in sorted((ROOT / top).rglob("*.py"))
]
LESSONS = [file for file in CODE if re.match(r"tutorials/\d\d_", file)]
PAGES = sorted(
    {str(path.relative_to(ROOT)) for path in ROOT.glob("*.md")}
    | {
        str(path.relative_to(ROOT))
        for top in ("docs", "tutorials", "models/weights")
        for path in (ROOT / top).rglob("*.md")
    }
)

OPENINGS = re.compile(
    r"(Also|And|As|But|For|How|In|Likewise|Nor|Of|On|So|Some|Those|To|What|Where|Whether|Who|Whom"
    r"|Whose)\b"
)
SENTENCE_OPENINGS = re.compile(
    r"(How|Likewise|Nor|Of|So many|Those of|What|Whether|Who|Whom|Whose)\b"
)
WORDS = re.compile(
    r"\b(mend(s|ed|ing)?|so\s+many|in\s+parts\s+of|made\s+anew|afresh|(come|comes|came|coming)\s+along)\b",
    re.I,
)


def docstrings(source: str) -> list[str]:
    nodes = (ast.FunctionDef, ast.ClassDef, ast.Module)
    texts = [ast.get_docstring(n) for n in ast.walk(ast.parse(source)) if isinstance(n, nodes)]
    return [text for text in texts if text]


def openings(source: str) -> list[str]:
    """Return the first lines of docstrings that begin with a word that says nothing."""
    return [text.splitlines()[0] for text in docstrings(source) if OPENINGS.match(text)]


def markdown(lesson: str) -> str:
    """Return the markdown cells of a lesson."""
    cells = re.split(r"^# %%", lesson, flags=re.M)
    texts = [cell.partition("\n")[2] for cell in cells if cell.startswith(" [markdown]")]
    return re.sub(r"^# ?", "", "\n".join(texts), flags=re.M)


def plain(page: str) -> str:
    """Return the prose of a page, without code and formulas."""
    page = re.sub(r"^```.*?^```|\$\$.*?\$\$|^ {4,}[^\n]*$", "", page, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`|\$[^$]*\$", "x", page)


def sentences(page: str) -> list[str]:
    """Return the sentences of a page, without its headings, tables and marks."""
    prose = re.sub(r"^(#|\|).*$", "", plain(page), flags=re.M)
    blocks = re.split(r"\n\s*\n|^\s*(?:[*-]|\d+\.) ", prose, flags=re.M)
    found = [s for block in blocks for s in re.split(r"(?<=[.!?:]) +", " ".join(block.split()))]
    return [sentence.lstrip('*_(["“') for sentence in found if sentence]


def riddles(page: str) -> list[str]:
    """Return the sentences with a forbidden word, or whose opening hides the subject."""
    hidden = [
        s
        for s in sentences(page)
        if SENTENCE_OPENINGS.match(s) and not s.rstrip('*_)"”').endswith("?")
    ]
    return hidden + [match.group() for match in WORDS.finditer(plain(page))]


@pytest.mark.parametrize("file", CODE)
def test_a_docstring_begins_with_what_it_is_about(file: str) -> None:
    assert openings((ROOT / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", [f for f in CODE if f != "tests/test_english.py"])
def test_no_odd_words_are_used_in_code(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert [match.group() for match in WORDS.finditer(text)] == []


@pytest.mark.parametrize("file", [*PAGES, *LESSONS])
def test_pages_and_lessons_are_no_riddles(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert riddles(markdown(text) if file in LESSONS else text) == []


def test_openings_are_seen() -> None:
    assert openings('def f():\n    """Those of y."""\n\n"""What."""') == ["Those of y."]
    assert openings('"""Whether x."""\ndef f():\n    """Return x, as y."""') == ["Whether x."]


def test_riddles_are_seen() -> None:
    assert riddles("A fact.\nWhat it is\ndoes not matter. What is it?") == [
        "What it is does not matter."
    ]
    assert riddles("* **Who** knows.\n* Whoever knows.\n\n## What to keep\n") == ["Who** knows."]
    assert riddles("It takes so\nmany. `mend`\n```\nmend\n```\n\n    mend\n\n| mended |") == [
        "so\nmany", "mended"
    ]  # fmt: skip
    assert riddles(markdown("# %% [markdown]\n# ## A\n# How it is.\n\n# %%\n# What.")) == [
        "How it is."
    ]
