"""VJPs: an op's value and one vector-Jacobian product for each input.

For y = f(x1, x2, ...) and g = dL/dy, the VJP of x1 returns dL/dx1 = g^T dy/dx1, in the shape of x1.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

from ..device import Array

ValueAndVJPs: TypeAlias = Any  # (value, VJP of input 0, VJP of input 1, ...)


def shared(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Return a function of g whose last result is kept, for several VJPs that need the same.

    g is recognised by a weak reference: an id may belong to another array once g is freed.
    """
    of_g: Any = lambda: None
    result: Any = None

    def cached(g: Array) -> Any:
        nonlocal of_g, result
        if of_g() is not g:
            of_g, result = weakref.ref(g), function(g)
        return result

    return cached
