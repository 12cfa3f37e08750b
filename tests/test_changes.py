"""A loss is not differentiated once a step has changed its inputs."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, changes, gradients, losses, nn, no_grad, ops, optim
from minidl.device import Device


def weights(device: Device, shape: tuple[int, ...] = (3,)) -> Tensor:
    return Tensor(device.put(np.arange(1.0, 1 + np.prod(shape)).reshape(shape)), "w")


def by_hand(w: Tensor) -> None:
    w.data -= 0.1


def by_lbfgs(w: Tensor) -> None:
    optim.LBFGS([w]).step(lambda: (w * w).sum())


def by_loading(w: Tensor) -> None:
    net = nn.Module()
    net.w = w  # type: ignore[attr-defined]
    net.load_state({"w": np.ones(w.shape)})


STEPS: dict[str, Callable[[Tensor], Any]] = {
    "SGD": lambda w: optim.SGD([w], lr=0.1).step([w.data]),
    "Adam": lambda w: optim.Adam([w], lr=0.1).step([w.data.copy()]),
    "LBFGS": by_lbfgs,
    "by hand": by_hand,
    "load_state": by_loading,
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_makes_a_loss_stale(step: str, device: Device) -> None:
    w = weights(device)
    loss = (w * w).sum()
    first = gradients(loss, [w])[0]
    np.testing.assert_array_equal(gradients(loss, [w])[0], first)  # any number of times
    STEPS[step](w)
    with pytest.raises(RuntimeError, match=r"gradients: w \(3,\) was changed in place after"):
        gradients(loss, [w])
    assert (gradients((w * w).sum(), [w])[0] == 2 * w.data).all()


def test_what_the_way_back_passes_through_counts_too(device: Device) -> None:
    """Only x is wanted, but w is used between x and the loss."""
    w, x = weights(device, (3, 3)), weights(device, (2, 3))
    loss = (x @ w).sum()
    by_hand(w)
    with pytest.raises(RuntimeError, match=r"w \(3, 3\) was changed in place after matmul"):
        gradients(loss, [x])


@pytest.mark.parametrize(
    "other",
    [lambda a: a, lambda a: a[:2], lambda a: a.reshape(1, 3), lambda a: a[::-1][1:]],
    ids=["the same", "a part", "another shape", "a part, backwards"],
)
def test_two_tensors_over_one_memory(other: Callable[[Any], Any], device: Device) -> None:
    w = weights(device)
    twin = Tensor(other(w.data), "twin")
    for one, two in ((w, twin), (twin, w)):
        loss = (one * one).sum()
        by_hand(two)
        with pytest.raises(RuntimeError, match="was changed in place"):
            gradients(loss, [one])


def test_an_activation_that_is_changed_is_seen(device: Device) -> None:
    """A sigmoid's gradient is computed from its value."""
    w = weights(device)
    hidden = ops.sigmoid(w)
    hidden.data *= 2.0
    with pytest.raises(RuntimeError, match="an array was changed in place after sigmoid"):
        gradients(hidden.sum(), [w])


def test_running_statistics_that_move_are_seen(rng: np.random.Generator) -> None:
    layer, x = nn.BatchNorm(2), Tensor(rng.standard_normal((5, 2)).astype(np.float32))
    loss = layer.train(False)(x).sum()
    layer.train()(x)
    with pytest.raises(RuntimeError, match="an array was changed in place after normalize"):
        gradients(loss, [x])


def test_two_players_take_turns(rng: np.random.Generator) -> None:
    """A prediction is valid if the other player's step comes between it and its loss."""
    player, critic = nn.Linear(2, 2, rng=rng), nn.Linear(2, 1, rng=rng)
    players, critics = (optim.SGD(m.parameters(), lr=0.1) for m in (player, critic))
    x = rng.standard_normal((4, 2)).astype(np.float32)
    for _ in range(2):
        shown = player(x)
        judged = critic(shown.data)
        critics.step(gradients(ops.mean(judged * judged), critic.parameters()))
        loss = losses.binary_cross_entropy(critic(shown), 1)
        grads = gradients(loss, player.parameters())
        expected = gradients(losses.binary_cross_entropy(critic(player(x)), 1), player.parameters())
        for one, other in zip(grads, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        early = losses.binary_cross_entropy(critic(shown), 1)
        critics.step([np.zeros_like(p.data) for p in critic.parameters()])
        with pytest.raises(RuntimeError, match=r"Linear\(2, 1\).w \(2, 1\) was changed in place"):
            gradients(early, player.parameters())
        players.step(grads)


def test_what_changes_nothing_is_allowed(device: Device) -> None:
    """Changes of other parameters, a new array instead of this one, a move to the same device."""
    net = nn.Linear(3, 3, rng=np.random.default_rng(0)).astype(np.float64).to(device)
    w, x = weights(device, (3, 3)), weights(device, (2, 3))
    loss = (net(x) @ w).sum()
    expected = gradients(loss, [w])[0]
    by_hand(weights(device, (3, 3)))
    w.data = w.data - 0.1
    net.to(device)
    with no_grad():
        (w * w).sum()
    np.testing.assert_array_equal(gradients(loss, [w])[0], expected)


def test_a_frozen_part_may_change_where_no_gradient_passes(device: Device) -> None:
    w, frozen = weights(device), weights(device)
    loss = (w * 2.0).sum() + (frozen * frozen).sum()
    by_hand(frozen)
    assert (gradients(loss, [w])[0] == 2).all()


def test_memory_is_known_only_while_it_lives(device: Device) -> None:
    gc.collect()
    before = len(changes._changes)
    kept = weights(device)
    for _ in range(3):
        w = weights(device)
        loss = (w * w + kept).sum()
        by_hand(w)
        by_hand(w)
        assert len(changes._changes) == before + 1
        del w, loss
        gc.collect()
        assert len(changes._changes) == before
        x = weights(device)  # may have the address of w
        assert (gradients((x * x).sum(), [x])[0] == 2 * x.data).all()


def test_a_copy_is_memory_of_its_own(rng: np.random.Generator) -> None:
    net = nn.Linear(2, 2, rng=rng)
    twin = copy.deepcopy(net)
    loss = ops.mean(net(np.ones((3, 2), np.float32)))
    optim.SGD(twin.parameters(), lr=1).step([np.ones_like(p.data) for p in twin.parameters()])
    assert len(gradients(loss, net.parameters())) == 2
