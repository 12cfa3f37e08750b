"""Writing a graph as SVG.

The SVG has no style sheet, identifiers or scripts, so that a page can hold several pictures. Its
colours can be read on a light page and on a dark one.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from xml.sax.saxutils import escape, quoteattr

from .graph import Box, Graph, Shown, title, told
from .layout import Layout, Place, Point

SIZE, LINE, SMALL = 13, 17, 11  # pixels: letters, lines, the words beside arrows
WIDE = 0.62 * SIZE  # the width of a letter: no common monospaced font is wider
PAD = 9  # the space between a box and its text
ROUND_IT = 8  # the margin of the whole picture
LONGEST = 34  # the letters of a name that are shown; the tooltip of a box has all of them
FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

INK, FAINT, RED = "#1b2430", "#4b5666", "#b3202c"  # within boxes
LINES, RED_LINES = "#6e7682", "#cf3a45"  # on the page, whose colour is not known
FILLS = {
    "op": ("#dfe9fb", "#4d73c4"),
    "leaf": ("#fbefd2", "#b98a2c"),
    "number": ("#eceef1", "#7d8794"),
}

Line = tuple[str, str]  # ("head" | "shape" | "value" | "gradient", text)
_numbers = itertools.count()


def sizes(graph: Graph, shown: Shown | None = None) -> list[tuple[float, float]]:
    """Return (width, height) of each box: its text fits, and so do the words above its arrows."""
    found: list[tuple[float, float]] = []
    for i, box in enumerate(graph.boxes):
        lines = _lines(graph, i, shown)
        text = max(_letters(line) for _, line in lines) * WIDE
        role = max((_letters(role) for role in box.roles), default=0)
        between = 14 + role * 0.62 * SMALL  # two arrows, with a word beside each
        width = max(text + 2 * PAD, between * (len(box.inputs) + 1) if any(box.roles) else 0, 44)
        found.append((width, len(lines) * LINE + 2 * PAD - 4))
    return found


def svg(graph: Graph, layout: Layout, shown: Shown | None = None) -> str:
    """Return the picture as an SVG document, which can also be part of a page."""
    width, height = layout.width + 2 * ROUND_IT, layout.height + 2 * ROUND_IT
    ops = sum(1 for box in graph.boxes if box.op)
    about = (
        f"The computation of {title(graph.boxes[-1])}: {ops} ops, {len(graph.boxes) - ops} leaves"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.2f} {height:.2f}" role="img" class="minidl-drawing"'
        f" aria-label={_quoted(about)}>",
        f"<title>{_text(about)}</title>",
        f"<desc>{_text(_described(graph, shown))}</desc>",
        f'<g transform="translate({ROUND_IT} {ROUND_IT})" font-family="{FONT}"'
        f' font-size="{SIZE}" fill="none" stroke-linejoin="round">',
    ]
    for (i, j), line, role in zip(graph.edges(), layout.lines, _roles(graph), strict=True):
        parts.append(_arrow(line, role, _colour(graph, shown, i, j), (i, j)))
    for i, place in enumerate(layout.boxes):
        parts.append(_box(graph, i, place, shown))
    return "\n".join([*parts, "</g>", "</svg>"])


def stepper(pictures: list[str], captions: list[str]) -> str:
    """Return HTML that shows one picture at a time, chosen by its number, without a script."""
    name = f"minidl-steps-{next(_numbers)}"
    buttons, rules, panels = [], [], []
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        checked = " checked" if i == 0 else ""
        buttons.append(
            f'<label><input type="radio" name="{name}" class="s{i}"{checked}> {i}</label> '
        )
        rules.append(f".{name}:has(.s{i}:checked) .p{i}")
        panels.append(f'<div class="p{i}"><p>{_text(caption)}</p>\n{picture}\n</div>')
    style = (
        f".{name} > div > div {{ display: none; overflow-x: auto; }}\n"
        + ",\n".join(rules)
        + " { display: block; }"
    )
    return (
        f'<div class="{name} minidl-steps"><style>{style}</style>\n'
        f"<fieldset><legend>step</legend>{''.join(buttons)}</fieldset>\n"
        f"<div>{''.join(panels)}</div></div>"
    )


# --- boxes ---------------------------------------------------------------------------------------


def _lines(graph: Graph, i: int, shown: Shown | None, *, whole: bool = False) -> list[Line]:
    """Return the text of box i, line by line.

    shown: the step of back-propagation, or None for all gradients. whole: do not shorten the name.
    """
    box = graph.boxes[i]
    if box.is_number and box.value:
        lines: list[Line] = [("head", box.value[0])]
    else:
        lines = [("head", title(box))]
        if box.shape:
            lines.append(("shape", str(box.shape)))
        lines += [("value", line) for line in box.value]
    gradients = (graph.gradients or {}) if shown is None else shown.gradients
    if i in gradients:
        caption, rows = ["gradient"], told(gradients[i])
        if len(rows) == 1 and len(rows[0]) < 12:
            caption, rows = [f"gradient {rows[0]}"], []
        if shown is not None and i in shown.unfinished:
            (rows or caption)[-1] += " + …"  # a term is still to come
        lines += [("gradient", row) for row in caption + rows]
    if not whole:
        lines[0] = lines[0][0], _short(lines[0][1])
    return lines


def _box(graph: Graph, i: int, place: Place, shown: Shown | None) -> str:
    box = graph.boxes[i]
    kind = "op" if box.op else "number" if box.is_number else "leaf"
    fill, stroke = FILLS[kind]
    width = 1.2
    if shown is not None and shown.turn == i:
        stroke, width = RED_LINES, 3.0
    x, middle = place.x, place.x + place.width / 2
    lines = _lines(graph, i, shown)
    tip = "\n".join(line for _, line in _lines(graph, i, shown, whole=True))
    # If this step has fewer lines than another one, they are in the middle of the box.
    y = place.y + (place.height - len(lines) * LINE) / 2 + LINE - 4
    parts = [
        f'<g class="{kind}" data-box="{i}"><title>{_text(tip)}</title>',
        f'<rect x="{x:.2f}" y="{place.y:.2f}" width="{place.width:.2f}"'
        f' height="{place.height:.2f}" rx="{7 if kind == "op" else 2}" fill="{fill}"'
        f' stroke="{stroke}" stroke-width="{width}"/>',
    ]
    for k, (what, line) in enumerate(lines):
        colour = {"head": INK, "shape": FAINT, "value": INK, "gradient": RED}[what]
        weight = ' font-weight="bold"' if what == "head" else ""
        parts.append(
            f'<text x="{middle:.2f}" y="{y + k * LINE:.2f}" text-anchor="middle"'
            f' xml:space="preserve" fill="{colour}"{weight}>{_text(line)}</text>'
        )
    return "".join([*parts, "</g>"])


# --- lines ---------------------------------------------------------------------------------------


def _roles(graph: Graph) -> list[str]:
    """Return for each edge the name of that input of the op, or an empty text."""
    return [role for box in graph.boxes for role in box.roles]


def _colour(graph: Graph, shown: Shown | None, i: int, j: int) -> str:
    """Return the colour of edge (i, j): red if a gradient has passed it."""
    gradients = graph.gradients or {}
    if i not in gradients or j not in gradients:
        return LINES
    return RED_LINES if shown is None or j in shown.done or j == shown.turn else LINES


def _arrow(points: list[Point], role: str, colour: str, edge: tuple[int, int]) -> str:
    path = [f"M{points[0][0]:.2f} {points[0][1]:.2f}"]
    for k in range(1, len(points)):
        (x0, y0), (x, y) = points[k - 1], points[k]
        if k % 2:
            path.append(f"V{y:.2f}" if k < len(points) - 1 else f"V{y - 7:.2f}")
        else:
            middle = (y0 + y) / 2
            path.append(f"C{x0:.2f} {middle:.2f} {x:.2f} {middle:.2f} {x:.2f} {y:.2f}")
    x, y = points[-1]
    head = f"M{x:.2f} {y:.2f}l-4 -8h8z"
    word = (
        f'<text x="{x + 7:.2f}" y="{y - 6:.2f}" font-size="{SMALL}" fill="{LINES}">'
        f"{_text(role)}</text>"
        if role
        else ""
    )
    return (
        f'<g data-from="{edge[0]}" data-to="{edge[1]}">'
        f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="1.5"/>'
        f'<path d="{head}" fill="{colour}"/>{word}</g>'
    )


# --- text ----------------------------------------------------------------------------------------


def _described(graph: Graph, shown: Shown | None) -> str:
    """Return the graph in words, for screen readers."""
    names = [_told_name(box, i) for i, box in enumerate(graph.boxes)]
    made = [
        f"{names[j]} of {', '.join(names[i] for i in box.inputs)}"
        for j, box in enumerate(graph.boxes)
        if box.op
    ]
    step = f"{shown.caption} " if shown is not None else ""
    return step + "; ".join(made or names) + "."


def _told_name(box: Box, i: int) -> str:
    what = box.value[0] if box.is_number and box.value else title(box)
    return f"{what} [{i}]"


def _letters(text: str) -> int:
    """Return the width of a text in letters. Chinese and Japanese characters count twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _short(text: str) -> str:
    """Return the text, without its middle if it is too long."""
    while _letters(text) > LONGEST:
        middle = len(text) // 2
        text = f"{text[: middle - 1]}…{text[middle + 1 :]}".replace("……", "…")
    return text


# The characters that XML 1.0 does not allow
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _quoted(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", text))
