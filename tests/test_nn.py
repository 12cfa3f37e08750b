"""Layers and networks: their parameters, their state, and that they learn."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, losses, nn, optim
from minidl.device import Device, to_cpu
from minidl.gradcheck import TOLERANCE
from minidl.gradcheck_cases import LAYER_CASES, Case

State = dict[str, np.ndarray]


class Network(nn.Module):
    """A module with parameters and modules in every allowed attribute and container."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.zeta = Tensor(rng.standard_normal(3).astype(np.float32), "zeta")
        self.rate = 0.5  # no parameter
        self.pairs = [[nn.Linear(2, 3, rng=rng)], (nn.ReLU(), nn.Linear(3, 4, rng=rng))]
        self.alpha = nn.Sequential(nn.Linear(4, 1, rng=rng), nn.Sigmoid())


NAMES = ["zeta", "pairs.0.0.w", "pairs.0.0.b", "pairs.1.1.w", "pairs.1.1.b",
         "alpha.layers.0.w", "alpha.layers.0.b"]  # fmt: skip


def values(module: nn.Module) -> State:
    return {name: to_cpu(array).copy() for name, array in module.state().items()}


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)


# --- layers --------------------------------------------------------------------------------------


def test_every_layer_is_checked():
    layers = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and value is not nn.Module
    }
    assert layers == {case.name.partition(", ")[0] for case in LAYER_CASES}


@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: case.name)
def test_gradients(case: Case, device: Device):
    assert case.error(device=device) < TOLERANCE


@pytest.mark.parametrize(
    ("layer", "meaning"),
    [
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Tanh(), np.tanh),
        (nn.ReLU(), lambda x: x * (x > 0)),
        (nn.LeakyReLU(slope=0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
        (nn.Sequential(nn.Tanh(), nn.ReLU()), lambda x: np.tanh(x * (x > 0))),
        (nn.Sequential(), lambda x: x),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_values(layer: nn.Module, meaning: Callable[..., Any], rng: np.random.Generator):
    x = rng.standard_normal((4, 3))
    np.testing.assert_allclose(layer(Tensor(x)).data, meaning(x), rtol=1e-14)


def test_linear_is_a_matrix_product_and_a_shift(device: Device, rng: np.random.Generator):
    layer = nn.Linear(3, 2, rng=rng).astype(np.float64).to(device)
    layer.parameters()[1].data += 0.5
    x, w = rng.standard_normal((4, 3)), values(layer)["w"]
    np.testing.assert_allclose(to_cpu(layer(device.put(x)).data), x @ w + 0.5, rtol=1e-14)


@pytest.mark.parametrize("gain", [1.0, 4.0, np.float64(4)])
def test_linear_draws_its_weights_as_glorot_says(gain: float, rng: np.random.Generator):
    layer = nn.Linear(40, 60, rng=rng, gain=gain)
    bound = gain * math.sqrt(6 / 100)
    w = layer.w.data
    assert (w.shape, w.dtype, layer.b.data.tolist()) == ((40, 60), np.float32, [0] * 60)
    assert 0.999 * bound < abs(w).max() <= np.float32(bound)
    assert w.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert w.mean() == pytest.approx(0, abs=0.03 * bound)


def test_same_seed_same_weights():
    assert same(values(Network(3)), values(Network(3)))
    assert not same(values(Network(3)), values(Network(4)))


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Network has no forward"):
        Network()(1)


# --- state ---------------------------------------------------------------------------------------


def test_parameters_come_in_order_of_definition():
    network = Network()
    assert [name for name, _ in network.named_parameters()] == list(network.state()) == NAMES
    shapes = [(3,), (2, 3), (3,), (3, 4), (4,), (4, 1), (1,)]
    assert [p.shape for p in network.parameters()] == shapes


def test_a_shared_layer_is_a_parameter_once(rng: np.random.Generator):
    layer = nn.Linear(2, 2, rng=rng)
    network = nn.Sequential(layer, layer)
    assert network.parameters() == [layer.w, layer.b]
    assert list(network.state()) == [f"layers.{i}.{name}" for i in range(2) for name in "wb"]
    before = values(layer)
    optimizer = optim.SGD(network.parameters(), lr=1.0)
    optimizer.step([np.ones_like(p.data) for p in network.parameters()])
    np.testing.assert_array_equal(layer.w.data, before["w"] - 1)


@pytest.mark.parametrize("value", [nn.ReLU(), Tensor(np.ones(2))], ids=["module", "parameter"])
def test_what_stands_in_a_dict_is_refused(value: Any):
    network = nn.Sequential()
    network.parts = {"size": 3, "part": value}  # type: ignore[attr-defined]
    for look in (network.parameters, network.state, network.train):
        with pytest.raises(TypeError, match=r"parts\['part'\]: parameters and modules in a dict;"):
            look()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_goes_round(dtype: Any, device: Device):
    state = {name: array.astype(dtype) for name, array in values(Network(1)).items()}
    network = Network(2)
    network.to(device)
    parameters = network.parameters()
    network.load_state(state)
    assert same(values(network), values(Network(1)))
    assert {p.dtype for p in parameters} == {np.dtype(np.float32)}
    assert network.parameters() == parameters  # the same tensors: optimisers refer to them


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("zeta"), r"Network: .*other parameters: \['zeta'\]"),
        (lambda s: s.update(odd=np.ones(3)), r"Network: .*other parameters: \['odd'\]"),
        (lambda s: s.update({NAMES[-1]: np.ones(2)}),
         r"Network: alpha\.layers\.0\.b is \(1,\), in the state \(2,\)"),
        (lambda s: s.update({NAMES[-2]: np.ones((1, 1))}), r"is \(4, 1\), in the state \(1, 1\)"),
    ],
    ids=["missing", "too many", "shape", "shape that would broadcast"],
)  # fmt: skip
def test_a_wrong_state_changes_nothing(change: Callable[[State], None], words: str):
    network, state = Network(1), values(Network(2))
    before = values(network)
    change(state)
    with pytest.raises(ValueError, match=words):
        network.load_state(state)
    assert same(values(network), before)


def test_astype_and_to_return_the_module(device: Device):
    network = Network()
    assert network.astype(np.float64).to(device) is network
    assert {p.dtype for p in network.parameters()} == {np.dtype(np.float64)}
    assert {type(p.data) for p in network.parameters()} == {device.xp.ndarray}


def test_astype_leaves_places_and_masks_alone(device: Device):
    network = nn.Sequential()
    network.places, network.mask = np.arange(3), np.ones(3, bool)  # type: ignore[attr-defined]
    state = network.to(device).astype(np.float32).state()
    assert [array.dtype for array in state.values()] == [np.arange(3).dtype, bool]


# --- learning ------------------------------------------------------------------------------------


def test_a_small_network_learns_a_small_batch_by_heart(device: Device, rng: np.random.Generator):
    network = nn.Sequential(nn.Linear(4, 16, rng=rng), nn.Tanh(), nn.Linear(16, 2, rng=rng))
    network.to(device)
    x, y = (device.put(rng.standard_normal((8, n)).astype(np.float32)) for n in (4, 2))
    optimizer = optim.Adam(network.parameters(), lr=0.02)
    history = []
    for _ in range(200):
        loss = losses.mean_squared_error(network(x), y)
        history.append(loss.item())
        optimizer.step(gradients(loss, network.parameters()))
    assert history[-1] < history[0] / 100
