"""Limited-memory BFGS: a model of the curvature out of the last few steps, and a line search."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..changes import changed
from ..device import Array
from ..tensor import Tensor, gradients
from .descent import movable


class _Point(NamedTuple):
    """The values that a line search knows at the distance t from its start."""

    t: float
    loss: float
    slope: float
    gradient: Array


class LBFGS:
    """Limited-memory BFGS with a strong-Wolfe line search (Nocedal & Wright 2006, alg. 7.4, 3.5,
    3.6).

    Wants a loss without noise: the same function of the parameters at each evaluation, on one large
    batch. `step(loss_of)` takes one step on `loss_of() -> Tensor` and returns the loss after it.

    Raises ValueError for settings out of range, and as `Optimizer` for the parameters.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        memory: int = 10,
        c1: float = 1e-4,
        c2: float = 0.9,
        evaluations: int = 25,
    ) -> None:
        if memory < 1 or evaluations < 1 or not 0 < c1 < c2 < 1:
            raise ValueError(
                f"LBFGS: memory {memory}, evaluations {evaluations}, c1 {c1}, c2 {c2};"
                " expected 1 or more of both, and 0 < c1 < c2 < 1"
            )
        self.parameters, self.memory = movable("LBFGS", parameters), memory
        self.c1, self.c2, self.evaluations = c1, c2, evaluations
        self.pairs: list[tuple[Array, Array]] = []  # (s, y): changes of position, of gradient
        self.converged = False  # no step along the search direction lowers the loss any more

    def forget(self) -> None:
        """Forget the curvature of earlier steps, for instance before another batch."""
        self.pairs = []

    def step(self, loss_of: Callable[[], Tensor]) -> float:
        if not callable(loss_of):
            kind = type(loss_of).__name__
            raise TypeError(f"LBFGS.step: expected a function that returns the loss, got {kind}")
        x = self._position()
        loss, g = self._evaluate(loss_of)
        size = float(np.abs(g).sum())
        if not math.isfinite(loss + size):  # no direction is better than another
            return loss
        d = self._direction(g)
        if float(g @ d) >= 0:  # rounding has spoilt the model of the curvature: start it anew
            self.pairs, d = [], -g
        first = 1.0 if self.pairs else min(1.0, 1 / max(size, 1e-30))

        def along(t: float) -> _Point:
            self._place(x + x.dtype.type(t) * d)
            value, gradient = self._evaluate(loss_of)
            return _Point(t, value, float(gradient @ d), gradient)

        end = self._line_search(along, _Point(0.0, loss, float(g @ d), g), first)
        s, y = x.dtype.type(end.t) * d, end.gradient - g
        self._place(x + s)
        self.converged = end.t == 0.0
        if float(s @ y) > 1e-10 * float(y @ y):
            self.pairs = [*self.pairs, (s, y)][-self.memory :]
        return end.loss

    def _direction(self, g: Array) -> Array:
        """-H g, H the inverse Hessian that the pairs tell, by the two-loop recursion."""
        q, alphas = -g, []
        for s, y in reversed(self.pairs):
            alphas.append((s @ q) / (s @ y))
            q = q - alphas[-1] * y
        if self.pairs:
            s, y = self.pairs[-1]
            q = q * ((s @ y) / (y @ y))
        for (s, y), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + s * (alpha - (y @ q) / (s @ y))
        return q

    def _line_search(self, along: Callable[[float], _Point], start: _Point, t: float) -> _Point:
        """A point that lowers the loss enough (c1) and where its slope is flat enough (c2).

        The search is held between `low`, the best point so far that lowers the loss enough, and
        `high`, beyond which there is nothing to look for; before there is one, t doubles.
        """
        low, high = start, None
        for _ in range(self.evaluations):
            here = along(t)
            enough = here.loss <= start.loss + self.c1 * t * start.slope  # False for a NaN
            if not enough or here.loss >= low.loss:
                high = here
            elif abs(here.slope) <= -self.c2 * start.slope:
                return here
            else:
                onward = 1.0 if high is None else high.t - low.t
                if here.slope * onward >= 0:
                    high = low
                low = here
            if high is not None and high.t == low.t:  # nothing is left between them
                break
            t = 2 * t if high is None else _between(low, high)
        return low

    def _position(self) -> Array:
        return _join([p.data for p in self.parameters])

    def _evaluate(self, loss_of: Callable[[], Tensor]) -> tuple[float, Array]:
        loss = loss_of()
        return loss.item(), _join(gradients(loss, self.parameters))

    def _place(self, x: Array) -> None:
        start = 0
        for p in self.parameters:
            p.data[...] = x[start : start + p.data.size].reshape(p.shape)
            start += p.data.size
        changed(p.data for p in self.parameters)

    def state(self) -> dict[str, Array]:
        """The pairs; the next step depends on nothing else besides the parameters."""
        named = ({f"s.{i}": s, f"y.{i}": y} for i, (s, y) in enumerate(self.pairs))
        return {name: array for pair in named for name, array in pair.items()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on where `state` was taken. Raises ValueError if the parameters were others."""
        like, count = self._position(), len(state) // 2
        names = {f"{kind}.{i}" for kind in "sy" for i in range(count)}
        if state.keys() != names or any(a.shape != like.shape for a in state.values()):
            raise ValueError("LBFGS: this state belongs to another optimiser")
        arrays = {name: np.asarray(a, dtype=like.dtype, like=like) for name, a in state.items()}
        self.pairs = [(arrays[f"s.{i}"], arrays[f"y.{i}"]) for i in range(count)]


def _join(arrays: Sequence[Array]) -> Array:
    return np.concatenate([a.reshape(-1) for a in arrays])


def _between(low: _Point, high: _Point) -> float:
    """The minimum of the cubic through two points, kept off the ends (N & W, eq. 3.59)."""
    (a, fa, ga, _), (b, fb, gb, _) = low, high
    t = (a + b) / 2
    if math.isfinite(fb) and math.isfinite(gb):
        d1 = ga + gb - 3 * (fa - fb) / (a - b)
        square = d1 * d1 - ga * gb
        if square >= 0:
            d2 = math.copysign(math.sqrt(square), b - a)
            if gb - ga + 2 * d2 != 0:
                t = b - (b - a) * (gb + d2 - d1) / (gb - ga + 2 * d2)
    margin = 0.1 * abs(b - a)
    return min(max(t, min(a, b) + margin), max(a, b) - margin)
