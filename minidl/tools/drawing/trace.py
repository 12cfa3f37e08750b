"""The history of a tensor, for a drawing. Only this file knows how a tensor stores it."""

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

    name: the name of the op that made it, or a leaf's own name. parents: the numbers of the op's
    inputs, in order; each has a gradient function. value: None if it is no longer known.
    """

    tensor: Tensor
    name: str
    shape: tuple[int, ...]
    value: Array | None
    parents: tuple[int, ...]
    grad_functions: tuple[Callable[[Array], Array], ...]


def remembered(computed: Computed, known: Callable[[], Iterable[Tensor]]) -> list[Made]:
    """Return the history of a tensor: parents before children, the tensor itself last.

    computed: the tensor, or a function that returns it. known: called after the function; returns
    tensors whose values are shown even if the history has forgotten them.
    """
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
    """Within the block, collect the inputs and the result of every op in the yielded list.

    This keeps their values, which the history forgets as soon as nothing needs them.
    """
    tensors: list[Tensor] = []
    before = observer.set(lambda *seen: tensors.extend(seen))
    try:
        yield tensors
    finally:
        observer.reset(before)


def _stand_in(origin: Origin) -> Tensor:
    """Return a tensor with this origin, but without its numbers: a gradient needs no more."""
    tensor = Tensor(np.empty(0))
    tensor.origin = origin
    return tensor
