"""Plain English: docstrings and sentences begin with their subject, and some words do not occur."""

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
CODE_FOR_READERS = [file for file in CODE if file.startswith(("tests/", "tutorials/", "docs/"))]
LESSONS = [file for file in CODE if re.match(r"tutorials/\d\d_", file)]
PROGRAMS_WRITE = {"docs/paper1/ssda.md", "docs/paper2/context-encoder.md"}  # benchmarks.papers
PAGES = sorted(
    {str(path.relative_to(ROOT)) for path in ROOT.glob("*.md")}
    | {
        str(path.relative_to(ROOT))
        for top in ("docs", "tutorials", "models/weights")
        for path in (ROOT / top).rglob("*.md")
    } - PROGRAMS_WRITE
)  # fmt: skip

OPENINGS = re.compile(
    r"(Also|And|As|But|For|How|In|Likewise|Nor|Of|On|So|Some|Those|To|What|Where|Whether|Who|Whom"
    r"|Whose)\b"
)
SENTENCE_OPENINGS = re.compile(
    r"(How|Likewise|Nor|Of|So many|Those of|What|Whether|Who|Whom|Whose)\b"
)
WORDS = re.compile(
    r"\b(mend(s|ed|ing)?|so\s+many|in\s+parts\s+of|made\s+anew|(come|comes|came|coming)\s+along)\b",
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


@pytest.mark.parametrize("file", CODE_FOR_READERS)
def test_a_docstring_has_the_words_of_the_field(file: str) -> None:
    texts = docstrings((ROOT / file).read_text(encoding="utf-8"))
    assert [text for text in texts if WORDS.search(text)] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_plain(page: str) -> None:
    assert riddles((ROOT / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_is_plain(lesson: str) -> None:
    assert riddles(markdown((ROOT / lesson).read_text(encoding="utf-8"))) == []


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
