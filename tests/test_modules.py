"""Modules: their parts, in any attribute or container, and their printed form."""

from __future__ import annotations

import collections
import dataclasses
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, losses, nn, no_grad, ops, optim

RNG = np.random.default_rng(0)


def linear() -> nn.Linear:
    return nn.Linear(2, 2, rng=RNG)


@dataclasses.dataclass
class Pair:
    first: Any
    second: Any


@dataclasses.dataclass(slots=True)
class Slots:
    first: Any


class Block:
    """A class whose author forgot to make it a Module."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class Net(nn.Module):
    def __init__(self, parts: Any, **others: Any) -> None:
        self.parts = parts
        vars(self).update(others)


def objects(*things: Any) -> np.ndarray:
    array = np.empty(len(things), object)
    for i, thing in enumerate(things):
        array[i] = thing
    return array


LOST: dict[str, tuple[Callable[[Any], Any], str]] = {
    "dict": (lambda x: {"a": x}, "parts['a']: parameters and modules in a dict"),
    "key": (lambda x: {x: 1}, "parts.keys: parameters and modules in a dict"),
    "dict of lists": (lambda x: {"a": [0, x]}, "parts['a'].1: parameters and modules in a dict"),
    "dict of dicts": (lambda x: {"a": {"b": x}}, "parts['a']['b']: "),
    "list of dicts": (lambda x: [{"a": x}], "parts.0['a']: parameters and modules in a dict"),
    "defaultdict": (lambda x: collections.defaultdict(list, a=[x]), "in a defaultdict"),
    "read-only dict": (lambda x: types.MappingProxyType({"a": x}), "in a mappingproxy"),
    "set": (lambda x: {x}, "in a set"),
    "frozenset": (lambda x: frozenset([x]), "in a frozenset"),
    "deque": (lambda x: collections.deque([x]), "in a deque"),
    "dataclass": (lambda x: Pair(1, x), "parts.second: parameters and modules in a Pair"),
    "dataclass with slots": (Slots, "parts.first: parameters and modules in a Slots"),
    "namespace": (lambda x: types.SimpleNamespace(x=x), "parts.x: "),
    "object": (lambda x: [Block((x,))], "parts.0.layer.0: parameters and modules in a Block"),
    "user's list": (lambda x: collections.UserList([x]), "in a UserList"),
    "objects in an array": (
        lambda x: objects(1, x),
        "parts.1: parameters and modules in a ndarray",
    ),
}


@pytest.mark.parametrize("thing", [linear, lambda: Tensor(np.ones(2))], ids=["module", "parameter"])
@pytest.mark.parametrize("place", LOST)
def test_nothing_is_passed_over(place: str, thing: Callable[[], Any]) -> None:
    make, words = LOST[place]
    net = nn.Sequential(Net(make(thing())))
    looks: list[Callable[[], Any]] = [
        net.parameters, net.state, net.train, lambda: list(net.modules()), lambda: net.astype(float)
    ]  # fmt: skip
    for look in looks:
        with pytest.raises(TypeError) as caught:
            look()
        assert words in str(caught.value) and str(caught.value).startswith("layers.0.parts")


@pytest.mark.parametrize("before", [[], linear(), [linear()], (Tensor(np.ones(2)),),
                                    Tensor(np.ones(2)) * 2.0, {"seen": Tensor(np.ones(2)) * 2.0}],
                         ids=["list", "module", "modules", "parameters", "activation", "seen"],
)  # fmt: skip
@pytest.mark.parametrize("place", LOST)
def test_nothing_is_passed_over_after_other_attributes(place: str, before: Any) -> None:
    make, words = LOST[place]
    same: list[Any] = []
    net = Net([same, same, before], others=[same, before], last=make(linear()))
    with pytest.raises(TypeError) as caught:
        net.parameters()
    assert words.replace("parts", "last") in str(caught.value)


@pytest.mark.parametrize("place", LOST)
def test_what_stands_in_a_right_place_as_well_is_not_lost(place: str) -> None:
    layer = linear()
    net = Net(LOST[place][0](layer), layer=layer)
    assert net.parameters() == [layer.w, layer.b]
    assert list(net.state()) == ["layer.w", "layer.b"]
    assert net.train(False) is net and not layer.training
    assert optim.Adam(net.parameters()).parameters == net.parameters()
    vars(net)["optimizer"] = optim.Adam(net.parameters())
    assert len(net.parameters()) == 2


@pytest.mark.parametrize("plain", [{"a": 1}, {1, 2}, Pair(1, "b"), np.ones(2), nn.ReLU, ops.relu,
                                   np.random, np.random.default_rng(0), [1, {"a": None}], range(9)],
                         ids=lambda v: type(v).__name__)  # fmt: skip
def test_settings_may_be_anything(plain: Any) -> None:
    assert Net(plain).parameters() == []


def test_single_numbers_are_settings_and_no_state() -> None:
    net = Net(np.float64(0.5), other=np.array(3.0), kept=np.ones(1))
    assert list(net.state()) == ["kept"]


@pytest.mark.parametrize("point", [lambda p: p, weakref.proxy, weakref.ref, lambda p: {"up": p}])
def test_a_child_may_know_its_parent(point: Callable[[Any], Any]) -> None:
    child = Net(linear())
    parent = Net([linear()], child=child)
    vars(child)["parent"] = point(parent)
    names = ["parts.0.w", "parts.0.b", "child.parts.w", "child.parts.b"]
    assert list(parent.state()) == [n for n, _ in parent.named_parameters()] == names
    assert list(parent.modules()) == [parent, parent.parts[0], child, child.parts]
    parent.train(False)
    assert not any(m.training for m in parent.modules())
    parent.astype(np.float64).load_state(parent.state())
    assert "24 parameters" not in repr(parent) and repr(parent).startswith("Net: 12 parameters")


def test_modules_are_listed_once() -> None:
    layer = linear()
    net = nn.Sequential(layer, nn.Sequential(layer, nn.ReLU()))
    kinds = [type(m).__name__ for m in net.modules()]
    assert kinds == ["Sequential", "Linear", "Sequential", "ReLU"]


def test_a_childs_own_train_is_called() -> None:
    """Overriding `train` is the usual way to keep the statistics of a trained batch norm."""

    class Frozen(nn.BatchNorm):
        def train(self, on: bool = True) -> Frozen:
            return super().train(False)

    frozen, free = Frozen(2), nn.BatchNorm(2)
    net = nn.Sequential(nn.Sequential(frozen), free, frozen).train()
    net(np.arange(8, dtype=np.float32).reshape(4, 2))
    assert (frozen.training, free.training) == (False, True)
    assert frozen.mean.tolist() == [0, 0] and free.mean.any()


def test_a_train_that_fails_leaves_no_trace() -> None:
    class Broken(nn.Module):
        def train(self, on: bool = True) -> Broken:
            raise KeyError

    net = Net([Broken()])
    with pytest.raises(KeyError):
        net.train(False)
    net.parts = []
    assert net.train().training


@pytest.mark.parametrize("forgetting", [False, True])
def test_an_activation_kept_to_be_seen_is_no_parameter(forgetting: bool) -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            self.layer = linear()

        def forward(self, x: Any) -> Tensor:
            self.hidden = ops.relu(self.layer(x))
            return self.hidden

    net, x = Keeps(), np.ones((3, 2), np.float32)
    if forgetting:
        with no_grad():
            net(x)
    else:
        net(x)
    assert [name for name, _ in net.named_parameters()] == ["layer.w", "layer.b"]
    Keeps().load_state(net.state())
    adam = optim.Adam(net.parameters())
    adam.step(gradients(losses.mean_squared_error(net(x), x), net.parameters()))


def test_what_all_of_a_class_would_share_is_refused() -> None:
    for shared in (linear(), Tensor(np.ones(2))):
        words = rf"Shared\.layer: a {type(shared).__name__} that all networks of this class"
        with pytest.raises(TypeError, match=words):
            type("Shared", (nn.Module,), {"layer": shared})


def test_options_reach_forward() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor, *, by: float = 1.0) -> Tensor:
            return x * by

    x = Tensor(np.ones(2))
    assert Scaled()(x, by=3.0).data.tolist() == [3, 3]
    with pytest.raises(TypeError, match=r"ReLU\.forward\(\) got an unexpected keyword argument"):
        nn.ReLU()(x, mask=1)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (([nn.ReLU(), nn.ReLU()],), "expected layers one by one, Sequential(a, b), got list at"),
        ((nn.ReLU(), nn.Tanh), "got Tanh at place 1"),
        ((nn.ReLU(), 3), "got int at place 1"),
    ],
)
def test_a_sequence_takes_layers_one_by_one(layers: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        nn.Sequential(*layers)
    assert words in str(caught.value)
    function: Any = ops.tanh
    assert nn.Sequential(nn.ReLU(), function)(np.zeros(1)).item() == 0


@pytest.mark.parametrize("rng", [0, None, np.random, np.random.RandomState(0)], ids=str)
def test_a_generator_is_asked_for(rng: Any) -> None:
    for make in (
        lambda: nn.Linear(2, 2, rng=rng),
        lambda: nn.Conv2D(2, 2, kernel_size=3, rng=rng, std=0.1),
        lambda: nn.Dropout(0.5, rng=rng),
    ):
        with pytest.raises(TypeError, match=f"rng is of type {type(rng).__name__}, expected a gen"):
            make()


def test_a_network_shows_its_layers() -> None:
    net = nn.Sequential(
        nn.Conv2D(3, 4, kernel_size=3, stride=2, rng=RNG),
        nn.LeakyReLU(),
        nn.BatchNorm(4, momentum=0.8),
        Net([nn.Sequential(nn.Dropout(0.5, rng=RNG), nn.Linear(4, 1000, rng=RNG))]),
    )
    assert repr(net.train(False)).splitlines() == [
        "Sequential: 5,120 parameters",
        "  layers.0: Conv2D(stride=2, padding='same'), w (3, 3, 3, 4), b (4,)",
        "  layers.1: LeakyReLU(slope=0.2)",
        "  layers.2: BatchNorm(momentum=0.8, eps=1e-05), gamma (4,), beta (4,)",
        "  layers.3: Net",
        "    parts.0: Sequential",
        "      layers.0: Dropout(p=0.5)",
        "      layers.1: Linear, w (4, 1000), b (1000,)",
    ]
    assert repr(nn.Sequential(net, net)).startswith("Sequential: 5,120 parameters")
    assert str(linear()) == "Linear, w (2, 2), b (2,): 6 parameters"
    assert repr(Net({"a": linear()})) == "Net: 0 parameters"  # printing must be possible


def test_containers_that_hold_themselves_are_looked_into_once() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.notes: dict[str, Any] = {"layers": []}
            self.notes["itself"] = self.notes
            self.notes["layers"] += [self.notes, self.notes["layers"]]
            self.layer = nn.LeakyReLU()

    assert [type(m) for m in Net().modules()] == [Net, nn.LeakyReLU]
