"""Context encoders: the shapes of their networks, their losses, the gradients of both players."""

from __future__ import annotations

import inspect
import itertools
import re
from typing import Any

import numpy as np
import pytest

from minidl import Tensor, gradients, nn, ops
from minidl.models.context_encoder import Holes, build, losses, networks
from minidl.models.context_encoder.data import with_holes
from minidl.models.context_encoder.networks import ARCHITECTURES, channels
from minidl.nn.init import Zeros
from minidl.tools import summary

# The shapes after each layer that changes them, in the authors' and the report's networks.
SHAPES = {
    ("report", "generator"): "128x128x64 64x64x64 32x32x128 16x16x256 8x8x512 4x4x512 "
    "8x8x256 16x16x128 32x32x64 64x64x64 64x64x3",
    ("report", "discriminator"): "32x32x64 16x16x128 8x8x256 4x4x512 8192 1",
    ("authors", "generator"): "64x64x64 32x32x64 16x16x128 8x8x256 4x4x512 1x1x4000 "
    "4x4x512 8x8x256 16x16x128 32x32x64 64x64x3",
    ("authors", "discriminator"): "32x32x64 16x16x128 8x8x256 4x4x512 1x1x1 1",
    ("compact", "generator"): "64x64x24 32x32x64 16x16x128 8x8x192 16x16x128 32x32x64 64x64x24 "
    "64x64x16 64x64x3",
    ("compact", "discriminator"): "32x32x32 16x16x64 8x8x96 4x4x128 4x4x1",
}


# --- networks -------------------------------------------------------------------------------------


def shapes(module: nn.Module, size: int) -> list[str]:
    """Return the shapes after the layers of a network that change them."""
    lines = summary(module, (size, size, 3)).splitlines()[2:-2]
    found = [line.split()[1] for line in lines]
    return [s for s, before in zip(found, ["", *found], strict=False) if s != before]


@pytest.mark.parametrize(("net", "player"), SHAPES)
def test_shapes_are_those_of_the_papers(net: str, player: str):
    pair = dict(
        zip(("generator", "discriminator"), build(net, rng=np.random.default_rng(0)), strict=True)
    )
    architecture = ARCHITECTURES[net]
    size = architecture.size if player == "generator" else architecture.hole
    expected = SHAPES[net, player].split()
    found = shapes(pair[player], size)
    assert found == expected
    if player == "generator":
        assert found[-1] == "64x64x3"


@pytest.mark.parametrize("net", ARCHITECTURES)
def test_a_comment_beside_every_layer_says_its_shape(net: str):
    """The comments in the source are the real shapes of the networks, in order."""
    for maker, size in (
        (ARCHITECTURES[net].generator, ARCHITECTURES[net].size),
        (ARCHITECTURES[net].discriminator, ARCHITECTURES[net].hole),
    ):
        lines = [line for line in inspect.getsource(maker).splitlines() if "[]" not in line]
        said = re.findall(r"  # (\d+x\d+x\d+|1$)", "\n".join(lines), re.MULTILINE)
        module = maker(lambda c: c, np.random.default_rng(0), False)
        real = [s for s in shapes(module, size) if "x" in s or s == "1"]
        changing = [s for s, before in zip(said, ["", *said], strict=False) if s != before]
        assert changing == real


def test_layers_of_the_report():
    """3x3 'same' convolutions, order convolution, LeakyReLU(0.2), BatchNorm(momentum=0.8)."""
    generator, discriminator = build("report", rng=np.random.default_rng(0), width=1 / 64)
    assert isinstance(generator, nn.Sequential)
    down, up = ([conv, "LeakyReLUBatchNorm"] for conv in ("Conv2D", "UpsampleConv2D"))
    names = [type(layer).__name__ for layer in generator.layers]
    bottom = ["Conv2D", "LeakyReLU", "Dropout"]
    assert names == 5 * down + bottom + 4 * up + ["Conv2D", "Tanh"]
    names = [type(layer).__name__ for layer in discriminator.layers]
    assert names == 4 * down + ["Flatten", "Linear"]
    layers = [*generator.layers, *discriminator.layers]
    for before, layer in itertools.pairwise(layers):
        if isinstance(layer, nn.LeakyReLUBatchNorm):
            assert layer.momentum == 0.8
            assert layer.slope == (0 if isinstance(before, nn.UpsampleConv2D) else 0.2)
        if isinstance(layer, nn.LeakyReLU):
            assert layer.slope == 0.2
        if isinstance(layer, nn.Conv2D):
            assert layer.padding == "same" and layer.stride in (1, 2)


@pytest.mark.parametrize("net", ARCHITECTURES)
def test_whole_networks_give_pictures_of_their_inputs_size(net: str):
    size = ARCHITECTURES[net].size
    generator, discriminator = build(
        net, full_image=True, rng=np.random.default_rng(0), width=1 / 64
    )
    assert shapes(generator, size)[-1] == f"{size}x{size}x3"
    if net == "compact":  # a logit for every patch
        assert shapes(discriminator, size)[-1] == "8x8x1"
        return
    assert shapes(discriminator, size)[-1] == "1"
    assert [s.split("x")[0] for s in shapes(discriminator, size)][-3].startswith("4")


def test_a_logit_of_the_compact_discriminator_is_of_a_patch():
    """A logit depends on 31 x 31 pixels, and not on the others."""
    _, D = build("compact", rng=np.random.default_rng(0), width=1 / 8)
    x = np.zeros((1, 64, 64, 3), np.float32)
    seen = D(x).data
    felt = []
    for i in range(64):
        one = x.copy()
        one[0, i, 32] = 1
        felt.append(bool((D(one).data != seen)[0, 1, 2].any()))
    assert sum(felt) == 31
    assert felt.index(True) + 31 == 64 - felt[::-1].index(True)


def test_the_compact_net_sees_the_whole_context():
    """Every pixel around the hole reaches every part of the prediction; in the report's net one
    corner does not reach the opposite one."""
    for net, reaches in (("compact", True), ("report", False)):
        generator, _ = build(net, rng=np.random.default_rng(0), width=1 / 16)
        generator.train(False).astype(np.float64)
        size = ARCHITECTURES[net].size
        x = Tensor(np.random.default_rng(1).uniform(-1, 1, (1, size, size, 3)))
        (g,) = gradients(ops.sum(generator(x)[:, :2, :2]), [x])
        assert (np.abs(g[0, -size // 8 :, -size // 8 :]).sum() > 0) == reaches


def test_another_net_is_refused():
    with pytest.raises(ValueError, match="expected one of compact, report, authors"):
        build("vgg", rng=np.random.default_rng(0))


# --- losses ---------------------------------------------------------------------------------------


def test_reconstruction_is_a_weighted_mean():
    rng = np.random.default_rng(0)
    y, x = rng.standard_normal((2, 3, 4, 4, 3))
    weight = np.zeros((3, 4, 4, 1))
    weight[:, 1:3, 1:3] = 1
    found = losses.reconstruction(Tensor(y), x, weight).item()
    assert found == pytest.approx(np.square(y - x)[:, 1:3, 1:3].mean())
    rim = np.full((1, 4, 4, 1), 10.0)
    rim[:, 1:3, 1:3] = 1
    expected = (np.square(y - x) * rim).sum() / y.size
    assert losses.reconstruction(Tensor(y), x, rim).item() == pytest.approx(expected)


def test_adversarial_losses_are_those_of_the_paper():
    real, fake = np.random.default_rng(0).standard_normal((2, 5, 1))
    p, q = (1 / (1 + np.exp(-z)) for z in (real, fake))
    found = losses.discriminator(Tensor(real), Tensor(fake)).item()
    assert found == pytest.approx(-0.5 * (np.log(p) + np.log(1 - q)).mean())
    assert losses.adversarial(Tensor(fake)).item() == pytest.approx(-np.log(q).mean())
    one, two = Tensor(np.array(2.0)), Tensor(np.array(5.0))
    assert losses.joint(one, two, 0.001).item() == pytest.approx(0.999 * 2 + 0.001 * 5)
    far = losses.adversarial(Tensor(np.array([[-1e4]])))
    assert far.item() == pytest.approx(1e4)


# --- the alternating step -------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True], ids=["hole", "whole"])
@pytest.mark.parametrize("net", ARCHITECTURES)
def test_both_players_gradients(net: str, whole: bool):
    """Check each player's gradients along a random direction of its parameters, in float64."""
    rng = np.random.default_rng(0)
    width = {"compact": 1 / 8, "report": 1 / 32, "authors": 1 / 32}[net]
    G, D = build(net, rng=rng, full_image=whole, width=width)
    for layer in G.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # its random masks would differ between the two sides
    G.astype(np.float64), D.astype(np.float64)
    holes = Holes("region" if whole else "centre", ARCHITECTURES[net].size, 64, 0 if whole else 4)
    pixels = rng.random((3, holes.size, holes.size, 3), dtype=np.float32)
    batch = with_holes(pixels, *holes.draw(3, rng), holes)
    context, target, weight = (
        a.astype(np.float64) for a in (batch.context, batch.target, batch.weight)
    )

    def g_loss() -> Tensor:
        prediction = G(context)
        rec = losses.reconstruction(prediction, target, weight)
        return losses.joint(rec, losses.adversarial(D(prediction)), 0.3)

    fake = G(context).data

    def d_loss() -> Tensor:
        return losses.discriminator(D(target), D(fake))

    for loss, player in ((g_loss, G), (d_loss, D)):
        parameters = player.parameters()
        # Short steps, relative to the weights: a unit that crosses its corner spoils the check.
        sizes = [0.01 + p.data.std() for p in parameters]
        directions = [
            size * rng.standard_normal(p.shape) for p, size in zip(parameters, sizes, strict=True)
        ]
        slope = sum(
            float((g * d).sum())
            for g, d in zip(gradients(loss(), parameters), directions, strict=True)
        )
        values = []
        for step in (1e-7, -2e-7):
            for p, d in zip(parameters, directions, strict=True):
                p.data += step * d
            values.append(loss().item())
        assert (values[0] - values[1]) / 2e-7 == pytest.approx(slope, rel=1e-4)


# --- the settings of the layers ----------------------------------------------------------------


def test_channels_are_rounded_and_never_none():
    assert [channels(0.3)(n) for n in (24, 64, 5, 1)] == [7, 19, 2, 1]


def test_a_compact_generator_begins_as_the_membrane(rng: np.random.Generator):
    generator = networks.CompactGenerator(channels(1.0), rng, False)
    last = generator.state()["last.layers.1.w"]
    assert last.std() == pytest.approx(0.01, rel=0.15)


def test_links_may_be_left_out_and_change_nothing_else():
    def made(linked: bool) -> networks.CompactGenerator:
        rng = np.random.default_rng(0)
        return networks.CompactGenerator(channels(1 / 12), rng, False, skip_connections=linked)

    with_links, without = made(True).state(), made(False).state()
    assert (
        {name for name in with_links if name not in without}
        == {name for name in with_links if name.startswith("links.")}
        != set()
    )
    for name, array in without.items():
        np.testing.assert_array_equal(array, with_links[name])


def test_links_and_four_blocks_are_the_default():
    def names(**options: Any) -> set[str]:
        rng = np.random.default_rng(0)
        return set(networks.CompactGenerator(channels(1 / 12), rng, False, **options).state())

    assert names() == names(size=128, blocks=4, skip_connections=True)
    assert names() not in (names(blocks=3), names(blocks=5), names(skip_connections=False))


# (net, True if it is whole): the numbers of parameters of generator and discriminator
PARAMETERS = {
    ("compact", False): [3_989_843, 185_633],
    ("compact", True): [3_989_843, 185_633],
    ("report", False): [3_441_027, 1_561_089],
    ("report", True): [3_515_139, 1_635_201],
    ("authors", False): [71_130_531, 2_766_529],
    ("authors", True): [71_196_259, 2_832_257],
}


@pytest.mark.parametrize(("net", "whole"), PARAMETERS)
def test_networks_are_as_large_as_they_were(net: str, whole: bool):
    pair = build(net, rng=Zeros(10**9), full_image=whole)
    counts = [sum(p.data.size for p in player.parameters()) for player in pair]
    assert counts == PARAMETERS[net, whole]


@pytest.mark.parametrize("whole", [False, True])
def test_layers_of_the_authors(whole: bool, rng: np.random.Generator):
    """4x4 convolutions of deviation 0.02, batch norm, LeakyReLU(0.2) on the way down, ReLU up."""
    generator, discriminator = build("authors", rng=rng, full_image=whole, width=1 / 4)
    assert isinstance(generator, nn.Sequential)
    norm, leaky, up = ["BatchNorm"], ["LeakyReLU"], ["ConvTranspose2D", "BatchNorm", "ReLU"]
    down = ["Conv2D", *norm, *leaky]
    first, last = ["Conv2D", *leaky], ["ConvTranspose2D", "Tanh"]
    names = [type(layer).__name__ for layer in generator.layers]
    assert names == first + 5 * down + (5 if whole else 4) * up + last
    names = [type(layer).__name__ for layer in discriminator.layers]
    assert names == first + (4 if whole else 3) * down + ["Conv2D", "Flatten"]
    for layer in [*generator.layers, *discriminator.layers]:
        if isinstance(layer, nn.Conv2D | nn.ConvTranspose2D):
            assert layer.w.shape[:2] == (4, 4)
            assert layer.w.data.std() == pytest.approx(0.02, rel=0.15)
        if isinstance(layer, nn.LeakyReLU):
            assert layer.slope == 0.2


def test_half_of_the_report_is_dropped(rng: np.random.Generator):
    generator, _ = build("report", rng=rng, width=1 / 64)
    drops = [layer for layer in generator.modules() if isinstance(layer, nn.Dropout)]
    assert [drop.p for drop in drops] == [0.5]
