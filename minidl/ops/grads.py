"""What the ops of this folder share."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

from ..device import Array

Grads: TypeAlias = Any  # (value, gradient function of input 0, of input 1, ...)


def once(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """A function of g that several gradients share: computed at the first call for each g."""
    known: list[Any] = [lambda: None, None]  # which g, as long as there is one; what came out

    def cached(g: Array) -> Any:
        if known[0]() is not g:
            known[:] = weakref.ref(g), function(g)
        return known[1]

    return cached
