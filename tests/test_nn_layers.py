"""Layers of convolutional networks: training or inference, running statistics, state, summary."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, kernels, nn, ops, optim
from minidl.kernels import reference
from minidl.kernels.cpu.gemm import prepacked
from minidl.tools import summary


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pictures(*shape: int) -> np.ndarray:
    return rng(1).standard_normal(shape).astype(np.float32)


def small_net() -> nn.Sequential:
    r = rng()
    return nn.Sequential(
        nn.Conv2D(3, 4, kernel_size=3, stride=2, rng=r),
        nn.LeakyReLU(),
        nn.BatchNorm(4, momentum=0.8),
        nn.Dropout(0.5, rng=r),
        nn.UpsampleConv2D(4, 3, rng=r),
        nn.Flatten(),
        nn.Linear(8 * 8 * 3, 2, rng=r),
    )


def test_batch_norm_normalises_the_batch() -> None:
    layer = nn.BatchNorm(3)
    y = layer(5 + 2 * pictures(4, 6, 5, 3)).data
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 3), (2, 4, 5, 3)])
def test_batch_norm_running_statistics(shape: tuple[int, ...]) -> None:
    """Momentum is that of Keras: the running value keeps that share of itself."""
    layer, over = nn.BatchNorm(3, momentum=0.8), tuple(range(len(shape) - 1))
    mean, variance = np.zeros(3), np.ones(3)
    for scale in (1, 3):
        x = scale + scale * pictures(*shape)
        layer(x)
        mean = 0.8 * mean + 0.2 * x.mean(axis=over)
        variance = 0.8 * variance + 0.2 * x.var(axis=over)
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.variance, variance, rtol=1e-5)
    assert layer.mean.dtype == np.float32


def test_batch_norm_in_use() -> None:
    layer, x = nn.BatchNorm(3, eps=1e-3), pictures(2, 4, 5, 3)
    layer.mean[...], layer.variance[...] = [1, 0, -1], [4, 1, 0.25]
    layer.gamma.data[...], layer.beta.data[...] = [1, 2, 3], [0, 1, 2]
    layer.train(False)
    before = {name: array.copy() for name, array in layer.state().items()}
    expected = np.array([1, 2, 3]) * (x - [1, 0, -1]) / np.sqrt(np.array([4, 1, 0.25]) + 1e-3)
    np.testing.assert_allclose(layer(x).data, expected + [0, 1, 2], rtol=1e-5, atol=1e-6)
    for name, array in layer.state().items():
        assert np.array_equal(array, before[name])


def test_batch_norm_gradients_know_their_loss() -> None:
    """Two losses of one forward pass do not mix up the sums that the gradients share."""
    x, layer = Tensor(pictures(5, 3)), nn.BatchNorm(3)
    y = layer(x)
    a, b = rng(2).standard_normal((2, 5, 3)).astype(np.float32)
    wanted = [x, layer.gamma, layer.beta]
    one = gradients(ops.sum(y * a), wanted)
    two = gradients(ops.sum(y * b), wanted)
    again = gradients(ops.sum(y * a), wanted)
    for g, h, k in zip(one, two, again, strict=True):
        assert np.array_equal(g, k)
        assert not np.array_equal(g, h)


def test_batch_norm_refuses_other_channels() -> None:
    for layer in (nn.BatchNorm(4), nn.BatchNorm(4).train(False)):
        with pytest.raises(ValueError, match="x has 3 channels, gamma is"):
            layer(pictures(2, 5, 5, 3))
    with pytest.raises(ValueError, match="momentum is 1"):
        nn.BatchNorm(4, momentum=1)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3), (3,)])
def test_batch_norm_needs_more_than_one_value(shape: tuple[int, ...]) -> None:
    """With one value it would return beta for every x, and its statistics would drift."""
    layer, x = nn.BatchNorm(3), pictures(*shape)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"batch_norm: x is .*: one value of each"):
            layer(x)
    assert layer.mean.tolist() == [0, 0, 0] and layer.variance.tolist() == [1, 1, 1]
    assert layer.train(False)(x).shape == shape
    assert nn.BatchNorm(3)(pictures(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e30])
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_a_batch_that_is_not_finite_leaves_no_trace_in_the_statistics(odd: float) -> None:
    layer, x = nn.BatchNorm(2, momentum=0.5), pictures(6, 2)
    x[3, 0] = odd
    layer(x)
    assert (layer.mean[0], layer.variance[0]) == (0, 1)
    assert layer.mean[1] == pytest.approx(x[:, 1].mean() / 2)
    assert layer.variance[1] == pytest.approx(0.5 + x[:, 1].var() / 2)


@pytest.mark.parametrize("eps", [-1e-5, np.nan])
def test_batch_norm_refuses_eps(eps: float) -> None:
    with pytest.raises(ValueError, match="BatchNorm: eps is"):
        nn.BatchNorm(2, eps=eps)


def test_dropout() -> None:
    x = np.ones((100, 50), np.float32)
    y = nn.Dropout(0.3, rng=rng())(x).data
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.02
    assert np.array_equal(y, nn.Dropout(0.3, rng=rng())(x).data)  # same seed, same mask
    layer = nn.Dropout(0.3, rng=rng())
    assert not np.array_equal(layer(x).data, layer(x).data)
    assert layer.train(False)(x) is x
    assert nn.Dropout(0, rng=rng())(x) is x
    for p in (-0.1, 1):
        with pytest.raises(ValueError, match="Dropout: p is"):
            nn.Dropout(p, rng=rng())


class Given(np.random.Generator):
    """A generator that returns given numbers."""

    def __init__(self, *numbers: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers = numbers

    def random(self, size: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return np.array(self.numbers, dtype).reshape(size)


def test_dropout_keeps_an_element_whose_number_is_p() -> None:
    """Numbers in [0, 1) are below p with the probability p: p itself is not."""
    layer = nn.Dropout(0.5, rng=Given(0, np.nextafter(0.5, 0, dtype=np.float32), 0.5))
    assert layer(np.ones(3, np.float32)).data.tolist() == [0, 0, 2]


def test_dropout_drops_the_gradient_too() -> None:
    x = Tensor(np.ones((20, 10), np.float32))
    y = nn.Dropout(0.5, rng=rng())(x)
    (g,) = gradients(ops.sum(y), [x])
    assert np.array_equal(g, y.data)


def test_one_switch_for_training() -> None:
    net = small_net()
    assert all(m.training for m in net.modules())
    assert net.train(False) is net
    assert not any(m.training for m in net.modules())
    x = pictures(2, 8, 8, 3)
    assert np.array_equal(net(x).data, net(x).data)
    net.train()
    assert all(m.training for m in net.modules())
    assert not np.array_equal(net(x).data, net(x).data)  # dropout is back


def test_a_layer_can_be_switched_alone() -> None:
    net = small_net()
    net.layers[2].train(False)
    before = net.layers[2].mean.copy()  # type: ignore[attr-defined]
    net(pictures(2, 8, 8, 3))
    assert np.array_equal(net.layers[2].mean, before)  # type: ignore[attr-defined]


def test_state_holds_running_statistics() -> None:
    net, x = small_net(), pictures(2, 8, 8, 3)
    net(x)
    names = list(net.state())
    assert names[2:6] == [f"layers.2.{n}" for n in ("gamma", "beta", "mean", "variance")]
    assert not {"layers.2.mean", "layers.2.variance"} & {n for n, _ in net.named_parameters()}

    other = small_net()
    other.load_state({name: array.copy() for name, array in net.state().items()})
    assert np.array_equal(other.train(False)(x).data, net.train(False)(x).data)

    state = net.state()
    with pytest.raises(ValueError, match=r"layers\.2\.mean"):
        other.load_state({n: a for n, a in state.items() if n != "layers.2.mean"})
    with pytest.raises(ValueError, match=r"layers\.2\.mean is \(4,\), in the state \(3,\)"):
        other.load_state({**state, "layers.2.mean": np.zeros(3)})


def test_astype_converts_running_statistics() -> None:
    net = small_net().astype(np.float64)
    assert {a.dtype for a in net.state().values()} == {np.dtype(np.float64)}
    x = pictures(2, 8, 8, 3).astype(np.float64)
    assert net(x).dtype == np.float64
    assert net.train(False)(x).dtype == np.float64


def test_first_values_of_the_weights() -> None:
    wide = nn.Conv2D(8, 64, kernel_size=5, rng=rng(), std=0.02)
    assert abs(wide.w.data.std() - 0.02) < 1e-3
    glorot = nn.Conv2D(8, 64, kernel_size=5, rng=rng())
    bound = np.sqrt(6 / (25 * (8 + 64)))
    assert 0.95 * bound < np.abs(glorot.w.data).max() <= bound
    assert not wide.b.data.any()
    assert np.array_equal(glorot.w.data, nn.Conv2D(8, 64, kernel_size=5, rng=rng()).w.data)


@pytest.mark.parametrize(
    ("layer", "given", "made"),
    [
        (nn.Conv2D(3, 6, kernel_size=3, stride=2, rng=rng()), (2, 7, 8, 3), (2, 4, 4, 6)),
        (nn.Conv2D(3, 6, kernel_size=4, stride=2, padding=1, rng=rng()), (2, 8, 8, 3),
         (2, 4, 4, 6)),
        (nn.ConvTranspose2D(3, 6, kernel_size=4, stride=2, padding=1, rng=rng()), (2, 4, 5, 3),
         (2, 8, 10, 6)),
        (nn.ConvTranspose2D(3, 6, kernel_size=4, stride=1, padding=0, rng=rng()), (2, 1, 1, 3),
         (2, 4, 4, 6)),
        (nn.Upsample2D(), (2, 4, 5, 3), (2, 8, 10, 3)),
        (nn.UpsampleConv2D(3, 6, rng=rng()), (2, 4, 5, 3), (2, 8, 10, 6)),
        (nn.ChannelwiseLinear(3, 4, rng=rng()), (2, 4, 4, 3), (2, 4, 4, 3)),
        (nn.Flatten(), (2, 4, 4, 3), (2, 48)),
    ],
)  # fmt: skip
def test_shapes(layer: Any, given: tuple[int, ...], made: tuple[int, ...]) -> None:
    assert layer(pictures(*given)).shape == made


def test_summary() -> None:
    net = small_net()
    before = {name: array.copy() for name, array in net.state().items()}
    lines = summary(net, (8, 8, 3)).splitlines()
    assert [line.split() for line in lines if not line.startswith("-")] == [
        ["layer", "output", "parameters"],
        ["Conv2D", "4x4x4", "112"],
        ["LeakyReLU", "4x4x4", "0"],
        ["BatchNorm", "4x4x4", "8"],
        ["Dropout", "4x4x4", "0"],
        ["UpsampleConv2D", "8x8x3", "111"],
        ["Flatten", "192", "0"],
        ["Linear", "2", "386"],
        ["all", "617"],
    ]
    assert len({len(line) for line in lines}) == 1
    assert all(np.array_equal(a, before[n]) for n, a in net.state().items())
    assert all(m.training for m in net.modules())
    assert not any("forward" in vars(m) for m in net.modules())


def test_summary_sends_one_sample_through_and_restores_every_mode() -> None:
    class Seen(nn.Module):
        def forward(self, x: Any) -> Any:
            seen.append((x.shape, bool(x.any()), self.training))
            return x

    seen: list[Any] = []
    net = nn.Sequential(Seen(), nn.Sequential(Seen().train(False)))
    modes = [m.training for m in net.modules()]
    assert modes == [True, True, True, False]
    for _ in range(2):
        summary(net, (4, 3))
    assert seen == [((1, 4, 3), False, False)] * 4
    assert [m.training for m in net.modules()] == modes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_summary_takes_the_networks_type(dtype: Any) -> None:
    assert summary(small_net().astype(dtype), (8, 8, 3)).endswith("617")
    assert summary(nn.Flatten(), (2, 3)).split()[4:7] == ["Flatten", "6", "0"]


def test_summary_leaves_nothing_behind_after_an_error() -> None:
    net = small_net()
    with pytest.raises(ValueError, match="conv2d: x has 5 channels, w expects 3"):
        summary(net, (8, 8, 5))
    assert all(m.training for m in net.modules())
    assert not any("forward" in vars(m) for m in net.modules())


def test_a_small_network_learns() -> None:
    """The loss of a net with a transposed convolution falls to a tenth in a few steps."""
    from minidl import losses, optim

    r = rng()
    net = nn.Sequential(
        nn.Conv2D(1, 8, kernel_size=4, stride=2, padding=1, rng=r),
        nn.BatchNorm(8),
        nn.LeakyReLU(),
        nn.ChannelwiseLinear(8, 4, rng=r),
        nn.ConvTranspose2D(8, 1, kernel_size=4, stride=2, padding=1, rng=r),
    )
    x = pictures(4, 8, 8, 1)
    adam, seen = optim.Adam(net.parameters(), lr=2e-2), []
    for _ in range(60):
        loss = losses.mean_squared_error(net(x), x)
        seen.append(loss.item())
        adam.step(gradients(loss, net.parameters()))
    assert seen[-1] < 0.1 * seen[0]


@pytest.mark.parametrize("layer", ["Conv2D", "UpsampleConv2D", "ConvTranspose2D", "BatchNorm"])
def test_read_only_layers_compute_the_same(layer: str) -> None:
    """Packed weights belong to their weights, and are freed with them."""
    r = rng()
    made: Any = {
        "Conv2D": lambda: nn.Conv2D(5, 40, kernel_size=3, rng=r),
        "UpsampleConv2D": lambda: nn.UpsampleConv2D(5, 40, rng=r),
        "ConvTranspose2D": lambda: nn.ConvTranspose2D(
            5, 40, kernel_size=4, stride=2, padding=1, rng=r
        ),
        "BatchNorm": lambda: nn.BatchNorm(5),
    }[layer]
    x = pictures(2, 6, 6, 5)
    before = len(prepacked._kept)
    for _ in range(3):  # a new layer's weights may have the address of the last one's
        module = made().train(False)
        expected = module(x).data
        module.freeze_weights()
        for _ in range(2):
            np.testing.assert_array_equal(module(x).data, expected)
        del module
        assert len(prepacked._kept) == before


def test_two_first_calls_at_once_keep_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call begins while the first still packs; the weights are freed correctly."""
    amiss: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", amiss.append)
    weights, before = [np.ones((3, 4))], len(prepacked._kept)
    weights[0].setflags(write=False)
    nested = lambda copy: prepacked.prepacked(weights[0], "test", np.copy)
    prepacked.prepacked(weights[0], "test", nested)
    assert len(prepacked._kept) == before + 1
    weights.clear()
    assert (len(prepacked._kept), amiss) == (before, [])


def test_weights_are_frozen_for_good() -> None:
    module = nn.Sequential(nn.Conv2D(2, 3, kernel_size=3, rng=rng()), nn.BatchNorm(3))
    module.freeze_weights()
    x = pictures(2, 6, 6, 2)
    state = {name: array + 1 for name, array in module.state().items()}
    with pytest.raises(ValueError, match="read-only"):
        module.load_state(state)
    with pytest.raises(ValueError, match="read-only"):
        module(x)  # in training, a batch norm's statistics move
    loss = ops.mean(module.train(False)(x))
    grads = gradients(loss, module.parameters())
    for optimizer in (optim.SGD(module.parameters(), lr=1), optim.Adam(module.parameters())):
        with pytest.raises(ValueError, match=r"read-only|writeable"):
            optimizer.step(grads)


def test_a_view_of_weights_is_not_kept() -> None:
    """Its numbers may change, although the view itself is read-only."""
    w, x = pictures(3, 3, 5, 40), pictures(1, 6, 6, 5)
    view = w[:]
    view.setflags(write=False)
    for _ in range(2):
        found = kernels.conv2d(x, view, None, 1, (1, 1, 1, 1))
        np.testing.assert_allclose(found, reference.conv2d(x, w, None, 1, (1, 1, 1, 1)), 0, 1e-4)
        w *= 2
