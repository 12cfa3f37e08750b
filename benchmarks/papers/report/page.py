"""A page of sections, tables and pictures, as HTML and as Markdown.

Both are made from the same objects. Their numbers are text, so that a number is formatted once. The
HTML file includes its pictures; the Markdown file links them.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 17px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
p { max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92em; }
caption { text-align: left; padding: .4rem 0; font-weight: 600; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; }
tr.quoted { background: var(--soft); font-style: italic; }
.note { font-size: .88em; opacity: .85; }
figure { margin: 1.5rem 0; }
.tiles { display: grid; gap: .8rem; grid-template-columns: repeat(2, 1fr); }
@media (min-width: 44rem) {
  .across3 { grid-template-columns: repeat(3, 1fr); }
  .across4 { grid-template-columns: repeat(4, 1fr); }
}
.across1 { display: block; }
.tiles div { font-size: .85em; line-height: 1.3; }
img { display: block; max-width: 100%; height: auto; } .tiles img { width: 100%; }
.across1 img { width: auto; background: #fff; }
figcaption { margin-top: .5rem; font-size: .9em; max-width: 46rem; }
"""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str

    def html(self) -> str:
        return f"<p>{html.escape(self.words)}</p>"

    def markdown(self, _: Path) -> str:
        return _plain(self.words)


@dataclass(frozen=True)
class Row:
    """A row of a table: its name and its cells. The cells with indices in `best` are bold.

    quoted: the numbers are quoted, not computed here.
    """

    name: str
    cells: Sequence[str]
    best: Sequence[int] = ()
    quoted: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under the names of their columns; the first column has the rows' names."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) + 1 != len(self.columns):
                raise ValueError(
                    f"table {self.caption!r}: row {row.name!r} has {len(row.cells)} cells; "
                    f"expected {len(self.columns) - 1}"
                )

    def html(self) -> str:
        def cell(i: int, text: str, row: Row) -> str:
            shown = html.escape(text)
            return f"<td>{f'<strong>{shown}</strong>' if i in row.best else shown}</td>"

        head = "".join(f"<th>{html.escape(c)}</th>" for c in self.columns)
        body = "\n".join(
            f'<tr class="{"quoted" if row.quoted else "run"}"><td>{html.escape(row.name)}</td>'
            + "".join(cell(i, text, row) for i, text in enumerate(row.cells))
            + "</tr>"
            for row in self.rows
        )
        notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in self.notes)
        return (
            f'<div class="wide"><table><caption>{html.escape(self.caption)}</caption>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>{notes}"
        )

    def markdown(self, _: Path) -> str:
        lines = [f"**{_plain(self.caption)}**", "", _line([_plain(c) for c in self.columns])]
        lines.append("|" + "---|" * len(self.columns))
        for row in self.rows:
            cells = [_plain(c) for c in row.cells]
            for i in row.best:
                cells[i] = f"**{cells[i]}**"
            name = _plain(row.name)
            lines.append(_line([f"*{name}*" if row.quoted else name, *cells]))
        return "\n".join([*lines, *(f"\n{_plain(note)}" for note in self.notes)])


@dataclass(frozen=True)
class Figure:
    """Pictures (file, caption), up to four beside one another, two on a narrow screen.

    across: the number beside one another; 1 is for drawings, at their own size. owner: the
    collection that the pictures come from, if they may not be published.
    """

    pictures: Sequence[tuple[Path, str]]
    caption: str
    across: int = 1
    owner: str = ""

    def html(self) -> str:
        tiles = "\n".join(
            f'<div><img alt="{html.escape(words or self.caption)}" src="{_data(path)}">'
            f"{html.escape(words)}</div>"
            for path, words in self.pictures
        )
        return (
            f'<figure><div class="tiles across{self.across}">\n{tiles}\n</div>'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )

    def markdown(self, folder: Path) -> str:
        lines: list[str] = []
        for start in range(0, len(self.pictures), self.across):
            some = self.pictures[start : start + self.across]
            images = [f"![{_plain(w)}]({p.relative_to(folder).as_posix()})" for p, w in some]
            if self.across == 1:
                lines += [*images, ""]
            else:
                lines += [_line(images), "|" + "---|" * len(some)]
                lines += [_line([_plain(words) for _, words in some]), ""]
        return "\n".join([*lines, f"*{_plain(self.caption)}*"])


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and its blocks."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def tables(self) -> list[Table]:
        return [block for block in self.blocks if isinstance(block, Table)]


@dataclass(frozen=True)
class Page:
    """A page of sections."""

    title: str
    sections: Sequence[Section]

    def html(self) -> str:
        """Return one HTML page, pictures included."""
        body = "\n".join(
            f"<section><h2>{html.escape(section.title)}</h2>\n"
            + "\n".join(block.html() for block in section.blocks)
            + "\n</section>"
            for section in self.sections
        )
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>{_STYLE}</style></head>\n"
            f"<body><h1>{html.escape(self.title)}</h1>\n{body}\n</body></html>\n"
        )

    def markdown(self, folder: Path) -> str:
        """Return the page as Markdown for a file in `folder`, which holds the pictures."""
        parts = [f"# {self.title}"]
        for section in self.sections:
            parts += [f"## {section.title}", *(block.markdown(folder) for block in section.blocks)]
        return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _data(path: Path) -> str:
    return f"data:{_KINDS[path.suffix]};base64," + base64.b64encode(path.read_bytes()).decode()


def _plain(words: str) -> str:
    """Return the words with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", words)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
