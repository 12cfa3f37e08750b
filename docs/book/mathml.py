"""Formulas: translate the part of TeX that the texts use to MathML, which browsers draw."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε", "rho": "ρ", "mu": "μ", "pi": "π",
    "sigma": "σ", "partial": "∂", "ldots": "…",
}  # fmt: skip
OPERATORS = {
    "cdot": "·", "le": "≤", "ge": "≥", "in": "∈", "to": "→", "leftarrow": "←", "pm": "±",
    "times": "×", "sum": "∑", "lfloor": "⌊", "rfloor": "⌋",
}  # fmt: skip
FUNCTIONS = {"log", "exp", "max", "min", "tanh"}
SPACES = {",": "0.17em", ";": "0.28em", "quad": "1em", "qquad": "2em"}
UNDER = {"∑", "max", "min"}  # their indices stand below and above
STRETCH = {"(", ")", "[", "]", "|", "⌊", "⌋"}

TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]+|[,;\\])|(?P<number>\d+(?:\.\d+)?)|(?P<letter>[^\W\d_])"
    r"|(?P<other>[^\s])|(?P<space>\s+)"
)


class FormulaError(ValueError):
    """A formula with TeX that this file does not know."""


def mathml(tex: str, *, display: bool = False) -> str:
    """Return a formula as a <math> element, with its TeX as text for browsers without MathML.

    Raises FormulaError.
    """
    tokens = [m for m in TOKEN.finditer(tex) if m.lastgroup != "space"]
    parser = _Parser(tex, tokens, display)
    body = parser.row(None)
    kind = ' display="block"' if display else ""
    return f'<math{kind} alttext="{escape(tex, {chr(34): "&quot;"})}">{body}</math>'


class _Parser:
    def __init__(self, tex: str, tokens: list[re.Match[str]], display: bool) -> None:
        self.tex, self.tokens, self.display, self.at = tex, tokens, display, 0

    def fail(self, why: str) -> FormulaError:
        return FormulaError(f"{why} in the formula {self.tex!r}")

    def next(self) -> str | None:
        return self.tokens[self.at].group() if self.at < len(self.tokens) else None

    def row(self, *stops: str | None) -> str:
        """Parse everything up to one of `stops`; None is the end."""
        parts: list[str] = []
        while (text := self.next()) not in stops:
            if text is None:
                raise self.fail(f"{stops[-1]} is missing")
            parts.append(self.scripted())
        return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"

    def scripted(self) -> str:
        """Parse one atom with its subscript and superscript."""
        base, large = self.one()
        below = above = None
        while (text := self.next()) in ("_", "^", "'"):
            self.at += 1
            if text == "'":
                above = "<mo>′</mo>"
            elif text == "_":
                below, _ = self.one()
            else:
                above, _ = self.one()
        tag = ("munder", "mover", "munderover") if large else ("msub", "msup", "msubsup")
        if below and above:
            return f"<{tag[2]}>{base}{below}{above}</{tag[2]}>"
        if below or above:
            kind = tag[0] if below else tag[1]
            return f"<{kind}>{base}{below or above}</{kind}>"
        return base

    def one(self) -> tuple[str, bool]:
        """Return (one atom, True if its indices go below and above it)."""
        if self.at >= len(self.tokens):
            raise self.fail("something is missing at the end")
        token = self.tokens[self.at]
        self.at += 1
        text, kind = token.group(), token.lastgroup
        if kind == "word":
            return self.command(token.group("word"))
        if kind == "number":
            return f"<mn>{text}</mn>", False
        if kind == "letter":
            return f"<mi>{text}</mi>", False
        if text == "{":
            inner = self.row("}")
            self.at += 1
            return inner, False
        if text in "}_^&":
            raise self.fail(f"{text} is out of place")
        sign = {"-": "−", "*": "∗"}.get(text, text)
        fixed = ' stretchy="false"' if sign in STRETCH else ""
        return f"<mo{fixed}>{escape(sign)}</mo>", False

    def command(self, word: str) -> tuple[str, bool]:
        if word == "frac":
            above, below = self.one()[0], self.one()[0]
            return f"<mfrac>{above}{below}</mfrac>", False
        if word == "sqrt":
            return f"<msqrt>{self.one()[0]}</msqrt>", False
        if word == "bar":
            return f'<mover accent="true">{self.one()[0]}<mo>¯</mo></mover>', False
        if word == "text":
            return f"<mtext>{escape(self.braces())}</mtext>", False
        if word in ("left", "right"):
            fence = self.next()
            self.at += 1
            form = "prefix" if word == "left" else "postfix"
            return f'<mo fence="true" form="{form}">{fence}</mo>', False
        if word == "begin" and self.braces() == "cases":
            return self.cases(), False
        if word == "top":
            return "<mi>⊤</mi>", False
        if word in LETTERS:
            return f"<mi>{LETTERS[word]}</mi>", False
        if word in OPERATORS:
            sign = OPERATORS[word]
            fixed = ' stretchy="false"' if sign in STRETCH else ""
            return f"<mo{fixed}>{sign}</mo>", sign in UNDER and self.display
        if word in FUNCTIONS:
            space = "0" if self.next() in ("(", "_", "^") else "0.17em"
            name = f'<mo lspace="0.17em" rspace="{space}" movablelimits="false">{word}</mo>'
            return name, word in UNDER and self.display
        if word in SPACES:
            return f'<mspace width="{SPACES[word]}"/>', False
        raise self.fail(f"\\{word} is not understood")

    def braces(self) -> str:
        """Return the text in braces, unchanged."""
        found = re.compile(r"\s*\{([^{}]*)\}").match(self.tex, self.tokens[self.at - 1].end())
        if not found:
            raise self.fail("{ is missing")
        while self.at < len(self.tokens) and self.tokens[self.at].start() < found.end():
            self.at += 1
        return found.group(1)

    def cases(self) -> str:
        """Parse rows of value & condition after a brace, up to \\end{cases}."""
        rows, cells = [], []
        while True:
            cell = self.row("&", "\\\\", "\\end")
            cells.append(f"<mtd>{cell}</mtd>")
            ended = self.next()
            self.at += 1
            if ended != "&":
                rows.append(f"<mtr>{''.join(cells)}</mtr>")
                cells = []
            if ended == "\\end":
                self.braces()
                table = f'<mtable columnalign="left">{"".join(rows)}</mtable>'
                return f'<mrow><mo fence="true" form="prefix">{{</mo>{table}</mrow>'
