"""The texts of the book: Markdown files with one section for each subject, and their HTML.

Of Markdown there are paragraphs, `code`, **bold** and formulas between $ or $$ in the little of TeX
that `mathml` knows. So a file reads well where it lies, too.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from .mathml import mathml

FOLDER = Path(__file__).parent / "derivations"


def sections(file: Path) -> dict[str, str]:
    """Return {name: text} for each heading `## name`."""
    _, *parts = re.split(r"^## +", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pairs = (part.partition("\n") for part in parts)
    return {name.strip(): text.strip() for name, _, text in pairs}


def all_sections(folder: Path = FOLDER) -> dict[str, str]:
    """Return the sections of all files. Raises ValueError if a name occurs twice."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.md")):
        for name, text in sections(file).items():
            if name in found:
                raise ValueError(f"{file.name}: the book has another section {name}")
            found[name] = text
    return found


def paragraphs(markdown: str, links: dict[str, str] | None = None) -> str:
    """Return the HTML of a section. links: addresses of `names` that have a page."""
    return "\n".join(
        _display(block) if block.startswith("$$") else f"<p>{inline(block, links or {})}</p>"
        for block in re.split(r"\n\s*\n", markdown)
    )


def _display(block: str) -> str:
    """Return formulas side by side, as many as fit on a line."""
    if not block.endswith("$$"):
        raise ValueError(f"texts: $$ is missing at the end of {block!r}")
    formulas = re.split(r"\\qquad(?![a-zA-Z])", block.strip("$"))
    return f'<div class="formula">{"".join(mathml(f, display=True) for f in formulas)}</div>'


def inline(text: str, links: dict[str, str]) -> str:
    """Return the HTML of a paragraph."""
    done = []
    for piece in re.split(r"(`[^`]+`|\$[^$]+\$|\*\*[^*]+\*\*)", text):
        if piece.startswith("`"):
            name = piece.strip("`")
            code = f"<code>{html.escape(name)}</code>"
            done.append(f'<a href="{links[name]}">{code}</a>' if name in links else code)
        elif piece.startswith("$"):
            done.append(mathml(piece.strip("$")))
        elif piece.startswith("**"):
            done.append(f"<strong>{html.escape(piece.strip('*'))}</strong>")
        else:
            done.append(html.escape(piece, quote=False))
    return "".join(done)
