"""Optimisers, in order of complexity. Each holds the parameters and its own state for them, in
order.

`step(gradients(loss, parameters))` moves the parameters in place. `rate` is an attribute: a
schedule sets it before each step. LBFGS alone has `step(loss_of)`, and no rate. `state()` and
`load_state()` serve checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from . import kernels
from .device import Array
from .tensor import Tensor, gradients


class Optimizer:
    """Base: `slots` names the arrays that an optimiser keeps for each parameter."""

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Sequence[Tensor], *, rate: float) -> None:
        self.parameters, self.rate, self.steps = list(parameters), rate, 0
        for slot in self.slots:
            setattr(self, slot, [np.zeros_like(p.data) for p in self.parameters])

    def step(self, grads: Sequence[Array]) -> None:
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """Everything that the next step depends on, besides parameters and rate."""
        arrays = {f"{s}.{i}": a for s in self.slots for i, a in enumerate(getattr(self, s))}
        return {"steps": np.array(self.steps), **arrays}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on where `state` of an equal optimiser was taken. Raises ValueError if it was not."""
        own = self.state()
        if {k: np.shape(v) for k, v in own.items()} != {k: np.shape(v) for k, v in state.items()}:
            raise ValueError(f"{type(self).__name__}: this state belongs to another optimiser")
        self.steps = int(state["steps"])
        for slot in self.slots:
            for i, array in enumerate(getattr(self, slot)):
                array[...] = np.asarray(state[f"{slot}.{i}"], like=array)


class SGD(Optimizer):
    """Gradient descent with momentum: v <- momentum v - rate g, p <- p + v (Polyak 1964)."""

    slots = ("velocity",)
    velocity: list[Array]

    def __init__(self, parameters: Sequence[Tensor], *, rate: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, rate=rate)
        self.momentum = momentum

    def step(self, grads: Sequence[Array]) -> None:
        self.steps += 1
        for p, g, v in zip(self.parameters, grads, self.velocity, strict=True):
            v *= self.momentum
            v -= self.rate * g
            p.data += v


class Adam(Optimizer):
    """Steps of about `rate` in every direction, whatever the gradient's scale (Kingma & Ba 2015).

    m and v are running means of the gradient and of its square. eps is added to sqrt(v) before the
    correction of its bias, the second form of the paper's section 2.
    """

    slots = ("m", "v")
    m: list[Array]
    v: list[Array]

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, rate=rate)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def step(self, grads: Sequence[Array]) -> None:
        self.steps += 1
        bias = math.sqrt(1 - self.beta2**self.steps) / (1 - self.beta1**self.steps)
        data = [p.data for p in self.parameters]
        rate = self.rate * bias
        kernels.adam(data, list(grads), self.m, self.v, rate, self.beta1, self.beta2, self.eps)


class _Point(NamedTuple):
    """What a line search knows at the distance t from its start."""

    t: float
    loss: float
    slope: float
    gradient: Array


class LBFGS:
    """Limited-memory BFGS with a strong-Wolfe line search (Nocedal & Wright 2006, alg. 7.4, 3.5,
    3.6).

    Wants a loss without noise: the same function of the parameters at each evaluation, on one large
    batch. `step(loss_of)` takes one step on `loss_of() -> Tensor` and returns the loss after it.
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
        self.parameters, self.memory = list(parameters), memory
        self.c1, self.c2, self.evaluations = c1, c2, evaluations
        self.pairs: list[tuple[Array, Array]] = []  # (s, y): changes of position, of gradient
        self.converged = False  # no step along the search direction lowers the loss any more

    def step(self, loss_of: Callable[[], Tensor]) -> float:
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


# --- learning rates and gradients ----------------------------------------------------------------


def warmup_cosine(
    rate: float, step: int, steps: int, *, warmup: int = 0, floor: float = 0.0
) -> float:
    """Up linearly to `rate` over the first `warmup` steps, then down a cosine to floor * rate.

    step counts from 0 to steps - 1 (Loshchilov & Hutter 2017).
    """
    if step < warmup:
        return rate * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done)))


def clip_gradients(grads: Iterable[Array], norm: float) -> tuple[list[Array], float]:
    """The gradients, shrunk together to a joint norm of at most `norm`; and the norm before."""
    grads = list(grads)
    total = math.sqrt(sum(float((g * g).sum()) for g in grads))
    scale = min(1.0, norm / total) if total > 0 else 1.0
    return [g * g.dtype.type(scale) if scale < 1 else g for g in grads], total
