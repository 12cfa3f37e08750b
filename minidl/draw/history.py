"""What a tensor remembers of how it was made: the only file here that knows how it does so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..device import Array
from ..tensor import Tensor

Computed: TypeAlias = "Tensor | Callable[[], Tensor]"


@dataclass(frozen=True)
class Made:
    """One tensor of a computation.

    name: that of the op that made it, or its own if it is a leaf. parents: the numbers of the op's
    inputs, in order, with one gradient function each. value: None where it is not known any more.
    """

    tensor: Tensor
    name: str
    shape: tuple[int, ...]
    value: Array | None
    parents: tuple[int, ...]
    grad_functions: tuple[Callable[[Array], Array], ...]


def remembered(computed: Computed, known: Callable[[], Iterable[Tensor]]) -> list[Made]:
    """All that a tensor was made of, itself last, parents before children. Of a function, the same
    for what it returns. known: called after it, tensors of which the values are to be seen in any
    case."""
    loss = computed() if callable(computed) else computed
    seen, todo = {loss}, [loss]
    while todo:
        for parent in todo.pop().parents:
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    tensors = sorted(seen, key=lambda t: t.birth)
    number = {t: i for i, t in enumerate(tensors)}
    return [
        Made(
            t,
            t.name,
            t.shape,
            t.data,
            tuple(number[parent] for parent in t.parents),
            tuple(t.grad_functions),
        )
        for t in tensors
    ]
