"""The content of a drawing: the tensors of a computation, their names, values and gradients."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...device import Array, to_cpu
from ...nn import Module
from ...tensor import OPS, Tensor
from ...tensor import gradients as gradients_of
from .trace import Computed, Made, remembered

Names: TypeAlias = "Module | Mapping[str, Any]"


@dataclass(frozen=True)
class Box:
    """One tensor of the graph.

    op: the op that computed it, "" for a leaf. inputs: the numbers of the boxes of the op's inputs,
    in order. roles: the op's names for them. value: in few lines; no line if it is not known.
    """

    op: str
    name: str
    shape: tuple[int, ...]
    value: list[str]
    inputs: tuple[int, ...]
    roles: tuple[str, ...]
    grad_functions: tuple[Callable[[Array], Array], ...]
    is_number: bool  # a constant such as the 2 in 2 * x


@dataclass(frozen=True)
class Graph:
    """Boxes in order of creation, the loss last. gradients: by number of box, or None."""

    boxes: list[Box]
    gradients: dict[int, Array] | None = None

    def edges(self) -> list[tuple[int, int]]:
        """Return (older, younger), the numbers of two boxes, for each input of each op."""
        return [(i, j) for j, box in enumerate(self.boxes) for i in box.inputs]


@dataclass(frozen=True)
class Shown:
    """A step of back-propagation, and the gradients so far.

    turn: the box that passes its gradient on to its inputs. done: the boxes that have done so.
    unfinished: the boxes whose gradient still lacks a term.
    """

    gradients: Mapping[int, Array]
    caption: str = ""
    turn: int | None = None
    done: frozenset[int] = frozenset()
    unfinished: frozenset[int] = frozenset()


def graph_of(computed: Computed, names: Names | None, gradients: bool | Sequence[Tensor]) -> Graph:
    """See `draw`."""
    given = [] if isinstance(gradients, bool) else list(gradients)
    # A function may fill in names while it computes, so they are read afterwards.
    history = remembered(computed, lambda: [*_named(names), *given])
    called = _named(names)
    boxes = [_box(made, called.get(made.tensor, "")) for made in history]
    if gradients is False:
        return Graph(boxes)
    loss = history[-1].tensor
    if gradients is True:
        leaves = [not box.op and not box.is_number for box in boxes]
        given = [made.tensor for made, leaf in zip(history, leaves, strict=True) if leaf]
    else:
        gradients_of(loss, given)  # for its errors: the loss may not depend on one of these
    wanted = set(given)
    path: dict[int, None] = {}  # through these boxes the loss depends on what is wanted
    for i, made in enumerate(history):
        if made.tensor in wanted or not path.keys().isdisjoint(made.parents):
            path[i] = None
    found = gradients_of(loss, [history[i].tensor for i in path])
    return Graph(boxes, dict(zip(path, found, strict=True)))


def back_propagation(graph: Graph) -> list[Shown]:
    """Return the steps from the loss alone to all gradients, one for each op on the way."""
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


def _terms(graph: Graph) -> list[tuple[int, int, Array]]:
    """Return (from, to, term): each op's term of the gradient of each input that has one."""
    totals, terms = graph.gradients or {}, []
    uses = Counter(i for i, _ in graph.edges())
    for j, box in enumerate(graph.boxes):
        for at, i in enumerate(box.inputs):
            if j not in totals or i not in totals:
                continue
            # If a box is used once, its only term is its gradient.
            alone = uses[i] == 1
            terms.append((j, i, totals[i] if alone else box.grad_functions[at](totals[j])))
    return terms


def title(box: Box) -> str:
    """Return a box's title: "h = sigmoid" for a named result, "w" for a leaf."""
    if box.op:
        return f"{box.name} = {box.op}" if box.name else box.op
    return box.name or ("number" if box.is_number else "array")


def _box(made: Made, name: str) -> Box:
    op = made.name if made.parents else ""
    alone = not op and not name and not made.name
    return Box(
        op,
        name or ("" if op else made.name),
        made.shape,
        [] if made.value is None else told(made.value),
        made.parents,
        tuple(_roles(op, len(made.parents))),
        made.grad_functions,
        alone and (made.shape == () if made.value is None else isinstance(made.value, float)),
    )


def _roles(op: str, count: int) -> Iterable[str]:
    """Return an op's names for its inputs: x, w and b of a linear; one input needs no name."""
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
    """Return the names of the given tensors, and of the parameters of the given modules."""
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
    """Return a value in few lines: a small array in full, the range and mean of a larger one."""
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
    """Return the number with a few digits, and no sign before a zero."""
    return f"{float(value) + 0.0:.{digits}g}"
