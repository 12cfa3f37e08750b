"""Optimisers against their formulas, on functions with known minima, and after a stop."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, nn, optim
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
    """Compute Adam by sums over all steps, not by the recurrence; eps is as in its docstring."""
    p = [a.copy() for a in START]
    for t in range(1, len(GRADS) + 1):
        for i, a in enumerate(p):
            m = sum((1 - beta1) * beta1 ** (t - s) * GRADS[s - 1][i] for s in range(1, t + 1))
            v = sum((1 - beta2) * beta2 ** (t - s) * GRADS[s - 1][i] ** 2 for s in range(1, t + 1))
            m_hat, v_root = m / (1 - beta1**t), (np.sqrt(v) + eps) / math.sqrt(1 - beta2**t)
            a -= rate * m_hat / v_root
    return p


STEPS: dict[str, tuple[Callable[..., optim.Optimizer], Callable[[], list[np.ndarray]]]] = {
    "SGD": (lambda ps: SGD(ps, lr=0.1), lambda: sgd_by_hand(0.1, 0)),
    "SGD, momentum": (lambda ps: SGD(ps, lr=0.1, momentum=0.9), lambda: sgd_by_hand(0.1, 0.9)),
    "Adam": (lambda ps: Adam(ps), lambda: adam_by_hand(1e-3, 0.9, 0.999, 1e-8)),
    "Adam, other options": (
        lambda ps: Adam(ps, lr=0.1, beta1=0.5, beta2=0.9, eps=0.1),
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


A, B = GRADS[0]  # (3, 2) and (2,)
WRONG_GRADS: dict[str, tuple[Any, type[Exception], str]] = {
    "too few": ([A], ValueError, "expected 2 gradients, one for each parameter, got 1"),
    "too many": ([A, B, B], ValueError, "expected 2 gradients, one for each parameter, got 3"),
    "other order": ([B, A], ValueError, "at place 0 is (2,) float64, expected (3, 2) float64"),
    "one that would broadcast": ([A[:1], B], ValueError, "at place 0 is (1, 2) float64, expected"),
    "another type": ([A, B.astype(np.float32)], ValueError, "place 1 is (2,) float32, expected"),
    "tensors": ([A, Tensor(B)], TypeError, "expected arrays, got Tensor at place 1"),
    "lists": ([A, [1.0, 2.0]], TypeError, "expected arrays, got list at place 1"),
    "the loss": (
        Tensor(np.ones(())),
        TypeError,
        "expected gradients(loss, parameters), got Tensor",
    ),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("wrong", WRONG_GRADS)
def test_gradients_that_do_not_fit_move_nothing(name: str, wrong: str):
    grads, error, words = WRONG_GRADS[wrong]
    parameters = [Tensor(a.copy()) for a in START]
    optimizer = STEPS[name][0](parameters)
    with pytest.raises(error, match=rf"^{type(optimizer).__name__}\.step: .*{re.escape(words)}"):
        optimizer.step(grads)
    assert all((p.data == a).all() for p, a in zip(parameters, START, strict=True))
    assert all(not array.any() for array in optimizer.state().values())


# --- their settings -------------------------------------------------------------------------------

W = Tensor(np.ones(2), "w")
MAKERS: dict[str, Callable[..., Any]] = {
    "SGD": lambda ps, **options: SGD(ps, **{"lr": 0.1, **options}),
    "Adam": Adam,
    "LBFGS": LBFGS,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        (W, TypeError, "expected a list of tensors, such as [x], got Tensor w (2,) float64"),
        (nn.ReLU(), TypeError, "expected a list of tensors, such as [x], got ReLU alone"),
        ([W, W.data], TypeError, "expected Tensors, got ndarray at place 1"),
        ({"w": W}, TypeError, "expected Tensors, got str at place 0"),
        ([], ValueError, "there are no parameters to move"),
        ([W, Tensor(np.ones(1)), W], ValueError,
         "Tensor w (2,) float64 is there twice, at places 0 and 2"),
        ([W, W * 2.0], TypeError, "Tensor multiply (2,) float64 at place 1 is a result or a"),
        ([Tensor(2.0)], TypeError, "Tensor unnamed () float64 at place 0 is a result or a number"),
    ],
    ids=["alone", "module", "array", "dict", "none", "twice", "result", "number"],
)  # fmt: skip
def test_parameters_are_leaves(name: str, parameters: Any, error: type[Exception], words: str):
    with pytest.raises(error, match=f"^{name}: {re.escape(words)}"):
        MAKERS[name](parameters)


NO_RATES = [-1.0, -1e-9, math.nan, math.inf]
NO_SHARES = [-0.1, 1.0, 2.0, math.nan]
BAD: list[tuple[str, str, list[Any]]] = [
    ("SGD", "lr", NO_RATES),
    ("SGD", "momentum", NO_SHARES),
    ("Adam", "lr", NO_RATES),
    ("Adam", "beta1", NO_SHARES),
    ("Adam", "beta2", NO_SHARES),
    ("Adam", "eps", [0.0, -1e-8, math.nan, math.inf]),
    ("LBFGS", "memory", [0, -1]),
    ("LBFGS", "evaluations", [0]),
    ("LBFGS", "c1", [0.0, -1.0, 0.9, 0.95, math.nan]),
    ("LBFGS", "c2", [1.0, 1e-4, 1e-5, math.nan]),
]


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [(name, setting, value) for name, setting, values in BAD for value in values],
)
def test_settings_out_of_range(name: str, setting: str, value: Any):
    with pytest.raises(ValueError, match=f"^{name}: .*{setting} (is )?{value}"):
        MAKERS[name]([W], **{setting: value})


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_settings_at_the_edge(name: str):
    edge = {"momentum": 0.0} if name == "SGD" else {"beta1": 0.0, "beta2": 0.0}
    optimizer = MAKERS[name]([Tensor(np.ones(2))], lr=0.0, **edge)
    optimizer.step([np.ones(2)])
    assert optimizer.parameters[0].data.tolist() == [1, 1]
    with pytest.raises(ValueError, match=f"^{name}: lr is nan, expected 0 or more"):
        optimizer.lr = math.nan
    assert optimizer.lr == 0
    optimizer.lr = np.float32(0.5)


def test_lbfgs_asks_for_a_function():
    with pytest.raises(TypeError, match=r"LBFGS\.step: expected a function that returns the loss"):
        LBFGS([W]).step((W * W).sum())  # type: ignore[arg-type]
    optimizer = LBFGS([Tensor(np.ones(2))], memory=1, evaluations=1)
    optimizer.step(lambda: (optimizer.parameters[0] ** 2).sum())
    assert len(optimizer.pairs) == 1


# --- stop and resume ------------------------------------------------------------------------------

KINDS: dict[str, Callable[[list[Tensor]], Any]] = {
    "SGD": lambda ps: SGD(ps, lr=1e-3, momentum=0.9),
    "Adam": lambda ps: Adam(ps, lr=0.05),
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


@pytest.mark.parametrize("norm", [0.0, -1.0, math.nan])
def test_clip_gradients_refuses(norm: float):
    with pytest.raises(ValueError, match=f"clip_gradients: norm is {norm}, expected more than 0"):
        optim.clip_gradients([np.ones(2)], norm)


@pytest.mark.parametrize("alone", [np.ones((2, 2)), Tensor(np.ones((2, 2)))])
def test_clip_gradients_takes_a_list(alone: Any):
    with pytest.raises(TypeError, match="clip_gradients: expected a list of arrays, got one alone"):
        optim.clip_gradients(alone, 1.0)


def test_clipping_what_is_too_large_to_square_in_float32():
    (clipped,), before = optim.clip_gradients([np.full(4, 1e30, np.float32)], 2.0)
    assert before == pytest.approx(2e30)
    np.testing.assert_allclose(clipped, 1, rtol=1e-6)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_what_is_not_finite_is_not_clipped(odd: float, norm: float):
    given = [np.array([3.0, 4.0]), np.array([odd])]
    clipped, before = optim.clip_gradients(given, norm)
    assert not math.isfinite(before)
    for c, g in zip(clipped, given, strict=True):
        np.testing.assert_array_equal(c, g)


def test_clipping_nothing_is_nothing():
    clipped, before = optim.clip_gradients([np.zeros(3)], 1.0)
    assert (clipped[0].tolist(), before) == ([0, 0, 0], 0)
