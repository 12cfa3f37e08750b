"""The book's pages as HTML."""

from __future__ import annotations

import html
import inspect
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from minidl import Tensor
from minidl.gradcheck import TOLERANCE
from minidl.gradcheck_cases import Case
from minidl.tools import draw

from . import sources, texts
from .measure import Times, checked, timed
from .subjects import Subject, drawing, kernels_of, ops_of, subjects

HERE = Path(__file__).parent
TITLES = {"op": "Ops", "loss": "Losses", "layer": "Layers"}
LANGUAGES = {"python": "python", "cuda": "cuda"}

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="stylesheet" href="${up}style.css">
</head>
<body>
<header><a href="${up}index.html">The minidl op book</a><nav>$nav</nav></header>
<main>
$body
</main>
</body>
</html>
""")


def book(*, threads: int = 1, machine: str = "", times: bool = True) -> dict[str, str]:
    """Return every file of the book: {path: text}. machine: the machine of the timings, in words.

    Raises ValueError for a subject without a text.
    """
    all_, written = subjects(), texts.all_sections()
    missing = [s.name for s in all_ if s.name not in written]
    if missing:
        raise ValueError(
            f"docs/book/derivations: no section '## {missing[0]}'; write what it computes and why"
            " its gradient is what it is"
        )
    checks = {s.address: checked(s) for s in all_}
    pages = {"style.css": (HERE / "style.css").read_text("utf-8")}
    for before, subject, after in zip([None, *all_[:-1]], all_, [*all_[1:], None], strict=True):
        body = _subject(
            subject, all_, written[subject.name], checks[subject.address],
            timed(subject, threads) if times else None, machine,
        )  # fmt: skip
        nav = _nav(before, after)
        pages[subject.address] = PAGE.substitute(
            title=f"{subject.name} · minidl", up="../", nav=nav, body=body
        )
    pages["index.html"] = PAGE.substitute(
        title="The minidl op book", up="", nav="", body=_index(all_, checks, machine)
    )
    return pages


def _nav(before: Subject | None, after: Subject | None) -> str:
    links = []
    if before:
        links.append(f'<a rel="prev" href="../{before.address}">← {before.name}</a>')
    if after:
        links.append(f'<a rel="next" href="../{after.address}">{after.name} →</a>')
    return "".join(links)


# --- the first page ------------------------------------------------------------------------------

INTRODUCTION = """
<h1>The minidl op book</h1>
<p>Every operation of minidl has a page: its formula and the derivation of its gradient; the code of
both; its kernels, as plain NumPy, for a processor and for a GPU; the error of its gradients against
finite differences; its time; and a drawing. The pages are made from the library's own source, so
text and code agree.</p>
"""
NOTATION = r"""On all pages $L$ is the loss, $y$ an op's value and $g = \partial L / \partial y$
the gradient that arrives in the backward pass. An op is a function that returns its value and one
vector-Jacobian product (VJP) for each input. A VJP takes $g$."""


def _index(
    all_: Sequence[Subject], checks: dict[str, list[tuple[Case, float]]], machine: str
) -> str:
    a, b = Tensor(np.array(2.0)), Tensor(np.array(3.0))
    c = a * b
    loss = (c + a) * c
    steps = draw(loss, names={"a": a, "b": b, "c": c, "L": loss}, gradients=True).steps()
    parts = [
        INTRODUCTION,
        texts.paragraphs(NOTATION),
        "<h2>Back-propagation, box by box</h2>",
        f"<p>{_code('L = (a * b + a) * (a * b)')} for a = 2 and b = 3. Click on the numbers.</p>",
        steps._repr_html_(),
    ]
    for kind, title in TITLES.items():
        rows = "".join(
            f'<tr><td><a href="{s.address}"><code>{s.name}</code></a></td>'
            f"<td>{_first_line(s.doc)}</td>"
            f"<td>{_error(max(e for _, e in checks[s.address]))}</td></tr>"
            for s in all_
            if s.kind == kind
        )
        parts.append(
            f'<h2>{title}</h2><div class="scroll"><table class="list"><tr><th>name</th>'
            f"<th>what it is</th><th>gradient check</th></tr>{rows}</table></div>"
        )
    parts.append(
        f"<p>The check compares gradients with central differences in float64; an error below"
        f" {TOLERANCE:.0e} passes.{f' Timed on {html.escape(machine)}.' if machine else ''}</p>"
    )
    return "\n".join(parts)


def _first_line(doc: str) -> str:
    first = doc.partition("\n\n")[0].replace("\n", " ")
    return texts.inline(first, {})


# --- the page of a subject -----------------------------------------------------------------------


def _subject(
    subject: Subject,
    all_: Sequence[Subject],
    text: str,
    checks: list[tuple[Case, float]],
    times: Times | None,
    machine: str,
) -> str:
    links = {s.name: f"../{s.address}" for s in all_ if s.name != subject.name}
    parts = [
        f'<p class="kind">{subject.kind} · <code>{_where(subject.thing)}</code></p>',
        f"<h1>{subject.name}</h1>",
        _doc(subject.doc),
        "<h2>The mathematics</h2>",
        texts.paragraphs(text, links),
        _used(subject, all_, links),
        "<h2>The code</h2>",
        _pre(sources.of_object(subject.thing), "python"),
        _kernels(subject) if subject.kind == "op" else "",
        "<h2>Gradient check</h2>",
        _checks(checks),
        _times(times, machine) if times else "",
        "<h2>Drawn</h2>",
        "<p>The first case of the check, with <code>L = (y * r).sum()</code> for random r, and all"
        ' gradients.</p><div class="scroll">' + drawing(subject) + "</div>",
    ]
    return "\n".join(part for part in parts if part)


def _doc(doc: str) -> str:
    return "".join(f"<p>{texts.inline(block, {})}</p>" for block in doc.split("\n\n"))


def _where(thing: Any) -> str:
    source = inspect.unwrap(thing)
    path = source.__module__.replace(".", "/") + ".py"
    return f"{path}, line {inspect.getsourcelines(source)[1]}"


def _used(subject: Subject, all_: Sequence[Subject], links: dict[str, str]) -> str:
    """Return the ops of a layer or loss, or the users of an op."""
    if subject.kind == "op":
        names = [s.name for s in all_ if s.kind != "op" and subject.name in ops_of(s)]
        what = "Used by"
    else:
        names, what = ops_of(subject), "Made of the ops"
    listed = ", ".join(f'<a href="{links[n]}"><code>{n}</code></a>' for n in names)
    return f"<p>{what} {listed}.</p>" if names else ""


def _kernels(subject: Subject) -> str:
    names = kernels_of(subject)
    if not names:
        return (
            "<h2>Kernels</h2><p>None: NumPy and CuPy arrays compute these expressions"
            " themselves.</p>"
        )
    parts = ["<h2>Kernels</h2>"]
    for name in names:
        plain, cpu, *gpu = sources.of_kernel(name)
        columns = [
            _column("The definition: NumPy", [plain]),
            _column("On a processor: Numba, BLAS", [cpu]),
            _column("On a GPU: CUDA", [s for s in gpu if s.language == "cuda"] + gpu[:1]),
        ]
        parts.append(f'<h3><code>{name}</code></h3><div class="beside">{"".join(columns)}</div>')
    return "\n".join(parts)


def _column(title: str, found: list[sources.Source]) -> str:
    parts = [f"<section><h4>{title}</h4>"]
    for source in found:
        parts.append(f'<p class="file"><code>{source.file}</code></p>')
        parts.append(_pre(source.text, source.language))
        if source.goes_on:
            more = "; ".join(
                f"{', '.join(map(_code, names))} in {_code(file)}"
                for file, names in source.goes_on.items()
            )
            parts.append(f'<p class="file">Beside it: {more}.</p>')
    return "".join([*parts, "</section>"])


def _checks(checks: list[tuple[Case, float]]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(case.name)}</td>"
        f"<td>{', '.join(map(_shape, case.shapes))}</td><td>{_error(error)}</td></tr>"
        for case, error in checks
    )
    return (
        '<div class="scroll"><table><tr><th>case</th><th>inputs</th>'
        f"<th>largest relative error</th></tr>{rows}</table></div>"
    )


def _error(error: float) -> str:
    passed = error < TOLERANCE
    return f'<span class="{"passed" if passed else "failed"}">{error:.1e}</span>'


def _times(times: Times, machine: str) -> str:
    shapes = ", ".join(map(_shape, times.shapes))
    rows = [
        f"<tr><td>value</td><td>{times.value:.3g}</td><td></td></tr>",
        f"<tr><td>value, and gradients of its sum</td><td>{times.with_gradients:.3g}</td>"
        "<td></td></tr>",
        *(
            f"<tr><td>kernel {_code(name)}</td><td>{ours:.3g}</td><td>{plain:.3g}</td></tr>"
            for name, ours, plain in times.kernels
        ),
    ]
    return (
        f"<h2>Time</h2><p>For inputs {shapes}, in milliseconds; medians of a short run on"
        f" {html.escape(machine)}.</p>"
        '<div class="scroll"><table><tr><th></th><th>ours</th><th>plain NumPy</th></tr>'
        f"{''.join(rows)}</table></div>"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _pre(code: str, language: str) -> str:
    return f'<pre tabindex="0"><code>{_highlighted(code, language)}</code></pre>'


def _highlighted(code: str, language: str) -> str:
    """Colour code by Pygments, if it is installed."""
    try:
        import pygments
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name
    except ImportError:
        return html.escape(code)
    lexer = get_lexer_by_name(LANGUAGES[language], stripnl=False, ensurenl=False)
    return pygments.highlight(code, lexer, HtmlFormatter(nowrap=True)).rstrip("\n")
