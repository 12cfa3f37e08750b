"""Descent along gradients: the base of such optimisers, SGD and Adam."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .. import kernels
from ..changes import changed
from ..device import Array
from ..tensor import Tensor, described, listed


def movable(what: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters, as a list. Raises TypeError if they are not leaves that hold arrays, and
    ValueError if there are none, or one is there twice."""
    found = listed(what, parameters)
    if not found:
        raise ValueError(f"{what}: there are no parameters to move")
    places: dict[int, int] = {}
    for i, p in enumerate(found):
        first = places.setdefault(id(p), i)
        if first != i:
            raise ValueError(f"{what}: {described(p)} is there twice, at places {first} and {i}")
        if not p.origin.leaf or isinstance(p.data, float):
            raise TypeError(
                f"{what}: {described(p)} at place {i} is a result or a number, expected"
                " a parameter such as Tensor(array)"
            )
    return found


class Optimizer:
    """Base: `slots` names the arrays that an optimiser keeps for each parameter.

    Raises TypeError for parameters that are no leaves, ValueError for one that is given twice, and
    for settings out of range. `step` raises both, before anything is moved, for gradients that are
    not one array for each parameter, of its shape and type.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], *, lr: float) -> None:
        self.parameters = movable(type(self).__name__, parameters)
        self.lr, self.steps = lr, 0
        for slot in self.slots:
            setattr(self, slot, [np.zeros_like(p.data) for p in self.parameters])

    @property
    def lr(self) -> float:
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._check(lr=(lr, 0 <= lr < math.inf, "0 or more"))
        self._lr = lr

    def step(self, grads: Sequence[Array]) -> None:
        raise NotImplementedError

    def _check(self, **settings: tuple[float, bool, str]) -> None:
        """Raise ValueError for the first setting, (value, whether it is right, what was expected),
        that is not right."""
        for name, (value, right, expected) in settings.items():
            if not right:
                raise ValueError(f"{type(self).__name__}: {name} is {value}, expected {expected}")

    def _one_each(self, grads: Iterable[Array]) -> list[Array]:
        """The gradients, as a list, if they fit the parameters."""
        what = f"{type(self).__name__}.step"
        if isinstance(grads, Tensor):
            raise TypeError(f"{what}: expected gradients(loss, parameters), got {described(grads)}")
        grads = list(grads)
        if len(grads) != len(self.parameters):
            raise ValueError(
                f"{what}: expected {len(self.parameters)} gradients, one for each parameter,"
                f" got {len(grads)}"
            )
        for i, (p, g) in enumerate(zip(self.parameters, grads, strict=True)):
            if isinstance(g, Tensor) or not hasattr(g, "dtype"):
                raise TypeError(f"{what}: expected arrays, got {type(g).__name__} at place {i}")
            if g.shape != p.data.shape or g.dtype != p.data.dtype:
                raise ValueError(
                    f"{what}: the gradient at place {i} is {g.shape} {g.dtype},"
                    f" expected {p.shape} {p.dtype}, as {p.name or 'its parameter'}"
                )
        return grads

    def state(self) -> dict[str, Array]:
        """Everything that the next step depends on, besides parameters and learning rate."""
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
    """Gradient descent with momentum: v <- momentum v - lr g, p <- p + v (Polyak 1964)."""

    slots = ("velocity",)
    velocity: list[Array]

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr=lr)
        self._check(momentum=(momentum, 0 <= momentum < 1, "0 <= momentum < 1"))
        self.momentum = momentum

    def step(self, grads: Sequence[Array]) -> None:
        grads = self._one_each(grads)
        self.steps += 1
        for p, g, v in zip(self.parameters, grads, self.velocity, strict=True):
            v *= self.momentum
            v -= self.lr * g
            p.data += v


class Adam(Optimizer):
    """Steps of about `lr` in every direction, whatever the gradient's scale (Kingma & Ba 2015).

    m and v are running means of the gradient and of its square. eps is added to sqrt(v) before the
    correction of its bias, the second form of the paper's section 2.
    """

    slots = ("m", "v")
    m: list[Array]
    v: list[Array]

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr=lr)
        self._check(
            beta1=(beta1, 0 <= beta1 < 1, "0 <= beta1 < 1"),
            beta2=(beta2, 0 <= beta2 < 1, "0 <= beta2 < 1"),
            eps=(eps, 0 < eps < math.inf, "more than 0"),
        )
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def step(self, grads: Sequence[Array]) -> None:
        grads = self._one_each(grads)
        self.steps += 1
        bias = math.sqrt(1 - self.beta2**self.steps) / (1 - self.beta1**self.steps)
        data = [p.data for p in self.parameters]
        lr = self.lr * bias
        kernels.adam(data, grads, self.m, self.v, lr, self.beta1, self.beta2, self.eps)
        changed(data)
