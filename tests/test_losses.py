"""Losses against their formulas, written out in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, losses
from minidl.device import Device, to_cpu
from minidl.gradcheck import TOLERANCE
from minidl.gradcheck_cases import LOSS_CASES, Case

RNG = np.random.default_rng(0)
Y, T = RNG.standard_normal((2, 5, 3))
P, Z = RNG.uniform(0.05, 0.95, (2, 5, 3))
RHO = 0.05
MEAN = P.mean(axis=0)

VALUES: dict[str, tuple[Callable[[Any], Tensor], Any]] = {
    "half_squared_error": (
        lambda put: losses.half_squared_error(put(Y), put(T)),
        0.5 * np.linalg.norm(Y - T) ** 2 / 5,
    ),
    "mean_squared_error": (
        lambda put: losses.mean_squared_error(put(Y), put(T)),
        ((Y - T) ** 2).sum() / 15,
    ),
    "binary_cross_entropy": (
        lambda put: losses.binary_cross_entropy(put(np.log(P / (1 - P))), put(Z)),
        -(Z * np.log(P) + (1 - Z) * np.log(1 - P)).sum() / 15,
    ),
    "kl_sparsity": (
        lambda put: losses.kl_sparsity(put(P), RHO),
        sum(RHO * np.log(RHO / m) + (1 - RHO) * np.log((1 - RHO) / (1 - m)) for m in MEAN),
    ),
    "l2_penalty": (
        lambda put: losses.l2_penalty([put(Y), put(T[:2])]),
        0.5 * (np.linalg.norm(Y) ** 2 + np.linalg.norm(T[:2]) ** 2),
    ),
}


def public() -> set[str]:
    """Return the public losses of the module."""
    return {
        name
        for name, value in vars(losses).items()
        if getattr(value, "__module__", "") == "minidl.losses" and not name.startswith("_")
    }


def test_every_loss_is_checked():
    assert public() == set(VALUES) == {case.name for case in LOSS_CASES}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str, device: Device):
    loss_of, expected = VALUES[name]
    loss = loss_of(lambda array: Tensor(device.put(array)))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("case", LOSS_CASES, ids=lambda case: case.name)
def test_gradients(case: Case, device: Device):
    assert case.error(device=device) < TOLERANCE


def test_the_two_squared_errors_differ_by_half_the_pixels():
    half, mean = losses.half_squared_error(Tensor(Y), T), losses.mean_squared_error(Tensor(Y), T)
    pixels = Y.shape[1]
    assert half.item() == pytest.approx(pixels / 2 * mean.item(), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_is_stable(dtype: Any, device: Device):
    z = Tensor(device.put(np.array([-1000, 1000, -1000, 1000], dtype)))
    target = device.put(np.array([0, 1, 1, 0], dtype))
    loss = losses.binary_cross_entropy(z, target)
    assert loss.item() == 500
    assert gradients(loss, [z])[0].tolist() == pytest.approx([0, 0, -0.25, 0.25], abs=1e-37)


@pytest.mark.parametrize("name", VALUES)
def test_there_is_no_loss_of_nothing(name: str):
    nothing = Tensor(np.zeros((0, 3), np.float32))
    calls: dict[str, Callable[[], Tensor]] = {
        "kl_sparsity": lambda: losses.kl_sparsity(nothing, RHO),
        "l2_penalty": lambda: losses.l2_penalty([]),
    }
    words = {"l2_penalty": "there are no weights"}.get(name, "no mean of nothing")
    with pytest.raises(ValueError, match=words):
        calls.get(name, lambda: getattr(losses, name)(nothing, nothing))()


def test_a_penalty_takes_weights_one_by_one():
    with pytest.raises(TypeError, match="l2_penalty: expected a list of tensors, such as"):
        losses.l2_penalty(Tensor(Y))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [0, 1, 0.9, True])
def test_binary_cross_entropy_takes_one_target_for_all(target: float):
    one, all_ = (losses.binary_cross_entropy(Tensor(Y), t) for t in (target, Y * 0 + target))
    assert one.item() == pytest.approx(all_.item(), rel=1e-14)


def test_kl_is_zero_where_the_mean_activation_is_rho():
    hidden = np.array([[0.02, 0.05], [0.08, 0.05]])
    assert losses.kl_sparsity(Tensor(hidden), RHO).item() == pytest.approx(0, abs=1e-15)
    assert losses.kl_sparsity(Tensor(hidden), 0.06).item() > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rho", [RHO, np.float64(RHO)])
def test_kl_bears_units_that_saturate(rho: float, dtype: Any, device: Device):
    hidden = Tensor(device.put(np.array([[0, 1, 0.25], [0, 1, 0.75]], dtype)))
    loss = losses.kl_sparsity(hidden, rho)
    (g,) = gradients(loss, [hidden])
    assert loss.dtype == g.dtype == dtype
    assert np.isfinite(loss.item()) and np.isfinite(to_cpu(g)).all()
    assert (np.sign(to_cpu(g)) == [-1, 1, 1]).all()


@pytest.mark.parametrize(
    "loss", [losses.half_squared_error, losses.mean_squared_error, losses.binary_cross_entropy]
)
def test_shapes_that_differ_are_refused(loss: Callable[..., Tensor]):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: .* is \(5, 3\), target is \(3,\)"):
        loss(Tensor(Y), T[0])
