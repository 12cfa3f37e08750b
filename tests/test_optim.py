"""Optimisers against their formulas, on functions with known minima, and stopped half-way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, optim
from minidl.device import Device, to_cpu
from minidl.optim import LBFGS, SGD, Adam

Optimizer = optim.Optimizer | LBFGS
RNG = np.random.default_rng(0)
START = [RNG.standard_normal((3, 2)), RNG.standard_normal(2)]
GRADS = [[RNG.standard_normal(p.shape) for p in START] for _ in range(5)]

# --- steps, written out --------------------------------------------------------------------------


def sgd_by_hand(rate: float, momentum: float) -> list[np.ndarray]:
    p = [a.copy() for a in START]
    v = [np.zeros_like(a) for a in p]
    for grads in GRADS:
        v = [momentum * a - rate * g for a, g in zip(v, grads, strict=True)]
        p = [a + b for a, b in zip(p, v, strict=True)]
    return p


def adam_by_hand(rate: float, beta1: float, beta2: float, eps: float) -> list[np.ndarray]:
    """Sums over all steps so far, instead of the recurrence; eps as Adam's docstring says."""
    p = [a.copy() for a in START]
    for t in range(1, len(GRADS) + 1):
        for i, a in enumerate(p):
            m = sum((1 - beta1) * beta1 ** (t - s) * GRADS[s - 1][i] for s in range(1, t + 1))
            v = sum((1 - beta2) * beta2 ** (t - s) * GRADS[s - 1][i] ** 2 for s in range(1, t + 1))
            m_hat, v_root = m / (1 - beta1**t), (np.sqrt(v) + eps) / math.sqrt(1 - beta2**t)
            a -= rate * m_hat / v_root
    return p


STEPS: dict[str, tuple[Callable[..., optim.Optimizer], Callable[[], list[np.ndarray]]]] = {
    "SGD": (lambda ps: SGD(ps, rate=0.1), lambda: sgd_by_hand(0.1, 0)),
    "SGD, momentum": (lambda ps: SGD(ps, rate=0.1, momentum=0.9), lambda: sgd_by_hand(0.1, 0.9)),
    "Adam": (lambda ps: Adam(ps), lambda: adam_by_hand(1e-3, 0.9, 0.999, 1e-8)),
    "Adam, other options": (
        lambda ps: Adam(ps, rate=0.1, beta1=0.5, beta2=0.9, eps=0.1),
        lambda: adam_by_hand(0.1, 0.5, 0.9, 0.1),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps(name: str, device: Device):
    make, expected = STEPS[name]
    parameters = [Tensor(device.put(a.copy())) for a in START]
    optimizer = make(parameters)
    for grads in GRADS:
        optimizer.step([device.put(g) for g in grads])
    assert optimizer.steps == len(GRADS)
    for p, e in zip(parameters, expected(), strict=True):
        np.testing.assert_allclose(to_cpu(p.data), e, rtol=1e-12)


@pytest.mark.parametrize("name", ["SGD, momentum", "Adam"])
@pytest.mark.parametrize("grads", [GRADS[0][:1], GRADS[0][::-1]], ids=["too few", "other order"])
def test_gradients_of_other_parameters_are_refused(name: str, grads: list[np.ndarray]):
    with pytest.raises(ValueError):
        STEPS[name][0]([Tensor(a.copy()) for a in START]).step(grads)


# --- stopping and going on -----------------------------------------------------------------------

KINDS: dict[str, Callable[[list[Tensor]], Any]] = {
    "SGD": lambda ps: SGD(ps, rate=1e-3, momentum=0.9),
    "Adam": lambda ps: Adam(ps, rate=0.05),
    "LBFGS": lambda ps: LBFGS(ps, memory=3),
}


def rosenbrock(x: Tensor) -> Tensor:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def advance(optimizer: Optimizer, steps: int) -> None:
    (x,) = optimizer.parameters
    for _ in range(steps):
        if isinstance(optimizer, LBFGS):
            optimizer.step(lambda: rosenbrock(x))
        else:
            optimizer.step(gradients(rosenbrock(x), [x]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINDS)
def test_going_on_equals_not_having_stopped(name: str, dtype: Any, device: Device):
    def start() -> tuple[Tensor, Optimizer]:
        x = Tensor(device.put(np.array([-1.2, 1.0], dtype)))
        return x, KINDS[name]([x])

    (x, optimizer), (y, second) = start(), start()
    advance(optimizer, 6)
    state = {key: to_cpu(array).copy() for key, array in optimizer.state().items()}
    y.data[...] = x.data
    advance(optimizer, 5)
    second.load_state(state)
    advance(second, 5)
    assert x.data.tolist() == y.data.tolist()
    assert to_cpu(x.data).tolist() != [np.float32(-1.2), 1]


@pytest.mark.parametrize(
    ("name", "other"), [(a, b) for a in KINDS for b in (*KINDS, "shape") if a != b]
)
def test_a_state_of_another_optimiser_is_refused(name: str, other: str):
    shape = (3,) if other == "shape" else (2,)
    given = KINDS[name if other == "shape" else other]([Tensor(np.ones(shape))])
    if isinstance(given, LBFGS):
        given.pairs = [(np.ones(shape), np.ones(shape))]
    optimizer = KINDS[name]([Tensor(np.ones(2))])
    with pytest.raises(ValueError, match=f"{name}: this state belongs to another optimiser"):
        optimizer.load_state(given.state())


# --- learning rates and gradients ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "options", "expected"),
    [
        (0, {}, 2), (5, {}, 1), (10, {}, 0), (99, {}, 0),
        (0, {"warmup": 4}, 0.5), (3, {"warmup": 4}, 2), (4, {"warmup": 4}, 2),
        (7, {"warmup": 4}, 1),
        (10, {"floor": 0.1}, 0.2), (5, {"floor": 0.5}, 1.5),
        (0, {"warmup": 10}, 0.2), (10, {"warmup": 10}, 2),
    ],
)  # fmt: skip
def test_warmup_cosine(step: int, options: dict[str, Any], expected: float):
    assert optim.warmup_cosine(2.0, step, 10, **options) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("norm", "scale"), [(1.0, 1 / 13), (12.0, 12 / 13), (13.0, 1), (99.0, 1)])
def test_clip_gradients(norm: float, scale: float, device: Device):
    given = [device.put(np.array(a, np.float32)) for a in ([[3.0], [0.0]], [-4.0, 12.0])]
    clipped, before = optim.clip_gradients(iter(given), norm)
    assert before == pytest.approx(13)
    for c, g in zip(clipped, given, strict=True):
        assert c.dtype == np.float32
        np.testing.assert_allclose(to_cpu(c), to_cpu(g) * scale, rtol=1e-6)


def test_clipping_nothing_is_nothing():
    clipped, before = optim.clip_gradients([np.zeros(3)], 1.0)
    assert (clipped[0].tolist(), before) == ([0, 0, 0], 0)
