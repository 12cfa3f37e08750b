"""The history of a tensor as a drawing needs it. Only this file knows how a tensor stores it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ...device import Array
from ...tensor import Origin, Tensor, observer

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
    if callable(computed):
        with _kept() as tensors:
            loss = computed()
    else:
        loss, tensors = computed, []
    of = {t.origin: t for t in (*tensors, *known(), loss)}
    shapes: dict[Origin, tuple[int, ...]] = {loss.origin: loss.shape}
    todo = [loss.origin]
    while todo:
        for origin, shape, _ in todo.pop().inputs:
            if origin not in shapes:
                shapes[origin] = shape
                todo.append(origin)
    origins = sorted(shapes, key=lambda origin: origin.birth)
    number = {origin: i for i, origin in enumerate(origins)}
    return [
        Made(
            of.get(origin) or _stand_in(origin),
            origin.name,
            shapes[origin],
            of[origin].data if origin in of else None,
            tuple(number[x.origin] for x in origin.inputs),
            tuple(x.grad for x in origin.inputs),
        )
        for origin in origins
    ]


@contextmanager
def _kept() -> Iterator[list[Tensor]]:
    """Inside, the inputs and the result of every op are kept, and with them their values, which
    the history forgets as soon as nothing needs them."""
    tensors: list[Tensor] = []
    before = observer.set(lambda *seen: tensors.extend(seen))
    try:
        yield tensors
    finally:
        observer.reset(before)


def _stand_in(origin: Origin) -> Tensor:
    """A tensor made in this way, without its numbers: enough to ask for its gradient."""
    tensor = Tensor(np.empty(0))
    tensor.origin = origin
    return tensor
