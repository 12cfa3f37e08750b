"""What there is to be seen of a computation: its tensors, their names, values and gradients.

This is the only file of the folder that knows how a Tensor remembers its history.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ..device import Array, to_cpu
from ..nn import Module
from ..tensor import OPS, Tensor
from ..tensor import gradients as gradients_of

Names: TypeAlias = "Module | Mapping[str, Any]"


@dataclass(frozen=True)
class Box:
    """One tensor of the history: what made it (op, "" for a leaf), from which boxes (their numbers,
    in the order of the op's inputs) and what the op calls these."""

    op: str
    name: str
    shape: tuple[int, ...]
    value: Any
    inputs: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    tensor: Tensor | None = field(default=None, repr=False)

    @property
    def is_number(self) -> bool:
        """Whether it is a constant such as the 2 in 2 * x."""
        return not self.op and isinstance(self.value, float)


@dataclass(frozen=True)
class Graph:
    """Boxes in order of birth, the loss last; gradients by number of the box, None if unasked."""

    boxes: list[Box]
    gradients: dict[int, np.ndarray] | None = None

    def edges(self) -> list[tuple[int, int]]:
        """(older, younger), once for each input of each op."""
        return [(i, j) for j, box in enumerate(self.boxes) for i in box.inputs]


@dataclass(frozen=True)
class Shown:
    """A moment of back-propagation: the gradients so far, the box whose turn it is, those that had
    theirs. unfinished: boxes whose gradient still lacks a term."""

    gradients: Mapping[int, np.ndarray]
    caption: str = ""
    turn: int | None = None
    done: frozenset[int] = frozenset()
    unfinished: frozenset[int] = frozenset()


def graph_of(loss: Tensor, names: Names | None, gradients: bool | Sequence[Tensor]) -> Graph:
    """See `draw`."""
    history, called = _history(loss), _named(names)
    number = {t: i for i, t in enumerate(history)}
    boxes = [_box(t, called.get(t, ""), [number[p] for p in t.parents]) for t in history]
    if gradients is False:
        return Graph(boxes)
    if gradients is True:
        wanted = [t for t, box in zip(history, boxes, strict=True) if _is_leaf(box)]
    else:
        wanted = list(gradients)
        gradients_of(loss, wanted)  # for its errors: a wanted tensor that is not in the history
    on_path = set(wanted)
    for t in history:
        if not on_path.isdisjoint(t.parents):
            on_path.add(t)
    path = [t for t in history if t in on_path]
    found = gradients_of(loss, path)
    return Graph(boxes, {number[t]: to_cpu(g) for t, g in zip(path, found, strict=True)})


def back_propagation(graph: Graph) -> list[Shown]:
    """The moments between the loss alone and all gradients: one for each op on the way."""
    totals = graph.gradients or {}
    last = len(graph.boxes) - 1
    terms = _terms(graph)
    need = {i: sum(1 for _, to, _ in terms if to == i) for i in totals}
    sums: dict[int, Any] = {last: totals[last]}
    got = dict.fromkeys(totals, 0)
    moments = [Shown(dict(sums), "The gradient of the loss with respect to itself is 1.")]
    done: set[int] = set()
    for i in sorted({source for source, _, _ in terms}, reverse=True):
        reached = []
        for source, to, term in terms:
            if source == i:
                sums[to] = sums[to] + term if to in sums else term
                got[to] += 1
                reached.append(to)
                if got[to] == need[to]:
                    sums[to] = totals[to]
        waiting = frozenset(k for k in sums if got[k] < need[k])
        caption = _caption(graph, i, reached, waiting)
        moments.append(Shown(dict(sums), caption, i, frozenset(done), waiting))
        done.add(i)
    return moments


def _caption(graph: Graph, turn: int, reached: list[int], waiting: frozenset[int]) -> str:
    targets = dict.fromkeys(reached)
    names = " and ".join(title(graph.boxes[i]) for i in targets)
    text = f"{title(graph.boxes[turn])} hands its gradient on to {names}."
    late = [title(graph.boxes[i]) for i in targets if i in waiting]
    return text + (f" {' and '.join(late)} waits for more: terms add up." if late else "")


def _terms(graph: Graph) -> list[tuple[int, int, np.ndarray]]:
    """(from, to, term): what each op gives each of its inputs that has a gradient."""
    totals, terms = graph.gradients or {}, []
    uses = Counter(i for i, _ in graph.edges())
    for j, box in enumerate(graph.boxes):
        for at, i in enumerate(box.inputs):
            if j not in totals or i not in totals:
                continue
            # The term of a box that is used once is all of its gradient.
            alone = uses[i] == 1
            terms.append((j, i, totals[i] if alone else _term(box, at, totals[j])))
    return terms


def title(box: Box) -> str:
    """What a box is called: h = sigmoid for a named result, w for a leaf."""
    if box.op:
        return f"{box.name} = {box.op}" if box.name else box.op
    return box.name or ("number" if box.is_number else "array")


# --- how a Tensor remembers -----------------------------------------------------------------------


def _history(loss: Tensor) -> list[Tensor]:
    """All that loss was made of, in order of birth: parents before children."""
    seen, todo = {loss}, [loss]
    while todo:
        for parent in todo.pop().parents:
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return sorted(seen, key=lambda t: t.birth)


def _box(t: Tensor, name: str, inputs: list[int]) -> Box:
    op = t.name if t.parents else ""
    return Box(
        op,
        name or ("" if op else t.name),
        t.shape,
        t.data,
        tuple(inputs),
        tuple(_roles(op, len(inputs))),
        t,
    )


def _term(box: Box, at: int, g: np.ndarray) -> np.ndarray:
    """What an op whose gradient is g gives its input `at`."""
    assert box.tensor is not None
    like = np.asarray(g, like=box.tensor.data)
    return to_cpu(box.tensor.grad_functions[at](like))


def _is_leaf(box: Box) -> bool:
    return not box.op and not box.is_number


def _roles(op: str, count: int) -> Iterable[str]:
    """What an op calls its inputs: x, w and b of a linear; one input needs no name."""
    if count < 2 or op not in OPS:
        return [""] * count
    kinds = inspect.Parameter
    names = [
        p.name
        for p in inspect.signature(OPS[op]).parameters.values()
        if p.kind is kinds.POSITIONAL_OR_KEYWORD
    ]
    return names if len(names) == count else [str(i) for i in range(count)]


def _named(names: Names | None) -> dict[Tensor, str]:
    """The names of tensors: of those given, and of the parameters of modules given."""
    called: dict[Tensor, str] = {}
    for tensor, name in _pairs(names):
        called.setdefault(tensor, name)
    return called


def _pairs(names: Names | None) -> Iterator[tuple[Tensor, str]]:
    if isinstance(names, Module):
        yield from ((p, path) for path, p in names.named_parameters())
        return
    for key, value in (names or {}).items():
        if key.startswith("_"):  # a notebook's own, among locals()
            continue
        if isinstance(value, Tensor):
            yield value, key
        elif isinstance(value, Module):
            yield from ((p, path) for path, p in value.named_parameters(f"{key}."))


def told(array: Array) -> list[str]:
    """A value in few lines: small arrays number by number, larger ones in outline."""
    a = np.asarray(to_cpu(array))
    if a.size == 0:
        return ["empty"]
    if a.ndim <= 2 and a.size <= 12 and (a.shape or (1,))[-1] <= 4:
        rows = a.reshape(-1, a.shape[-1] if a.ndim else 1)
        digits = 3 if rows.shape[1] < 4 else 2
        words = [[_number(v, digits) for v in row] for row in rows]
        wide = max(len(w) for row in words for w in row)
        if len(words) <= 4:
            return ["  ".join(f"{w:>{wide}}" for w in row) for row in words]
    finite = a[np.isfinite(a)]
    lines = []
    if finite.size:
        lines = [f"{_number(finite.min())} to {_number(finite.max())}"]
        lines.append(f"mean {_number(finite.mean(dtype=np.float64))}")
    if finite.size < a.size:
        lines.append(f"{a.size - finite.size:,} of {a.size:,} not finite")
    return lines


def _number(value: Any, digits: int = 3) -> str:
    """A few digits, and no sign before a zero."""
    return f"{float(value) + 0.0:.{digits}g}"
