"""Membranes over holes: exact for one picture, approximate for a network's batches."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import nn
from minidl.models.context_encoder import KINDS, Holes
from minidl.models.context_encoder.data import with_holes
from minidl.models.context_encoder.laplace import multigrid, solve
from minidl.models.context_encoder.networks import CompactGenerator, build
from minidl.models.images.samples import photograph


def test_a_skin_is_the_mean_of_its_neighbours():
    rng = np.random.default_rng(0)
    values, hole = rng.random((12, 15, 2)), np.zeros((12, 15), bool)
    hole[3:9, 2:7], hole[4, 8:11] = True, True
    result = solve(values, hole, ~hole)
    np.testing.assert_array_equal(result[~hole], values[~hole])
    padded = np.pad(result, ((1, 1), (1, 1), (0, 0)), mode="edge")
    mean = (padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]) / 4
    np.testing.assert_allclose(result[hole], mean[hole], atol=1e-6)
    slope = np.mgrid[:12, :15][0][..., None] / 12.0
    np.testing.assert_allclose(solve(np.where(hole[..., None], 9, slope), hole, ~hole), slope)


def test_one_known_pixel_tells_all():
    """A square with very few known pixels gets their mean colour."""
    pixels, masks = np.full((1, 8, 8, 1), 0.75), np.ones((1, 8, 8), bool)
    pixels[masks] = 0.1
    pixels[0, 5, 2], masks[0, 5, 2] = 0.75, False
    np.testing.assert_allclose(multigrid(pixels, masks), 0.75)


def squares(side: int = 64) -> np.ndarray:
    """Return squares (3, side, side, 3) of a photograph."""
    pixels = photograph("astronaut")
    return np.stack([pixels[top : top + side, 150 : 150 + side] for top in (0, 100, 200)])


def test_a_bridge_is_near_the_skin():
    pixels, hole = squares(), np.zeros((64, 64), bool)
    hole[4:60, 4:60] = True
    near = multigrid(pixels, np.stack([hole] * 3))
    assert near.dtype == np.float32
    for picture, found in zip(pixels, near, strict=True):
        exact = solve(picture, hole, ~hole)
        np.testing.assert_array_equal(found[~hole], picture[~hole])
        wrong = np.where(hole[..., None], picture.mean(axis=(0, 1)), picture)
        assert np.square(found - exact).mean() < np.square(wrong - exact).mean() / 5
        rough = np.abs(np.diff(found, axis=0)).max()
        assert rough <= np.abs(np.diff(picture, axis=0)).max()


@pytest.mark.parametrize("side", [5, 24, 64])
def test_bridges_over_holes_of_any_shape(side: int):
    """Holes at the border, of one pixel, of no pixel and of all pixels get no invented colour."""
    pixels = np.random.default_rng(0).uniform(0.2, 0.8, (5, side, side, 2))
    masks = np.zeros((5, side, side), bool)
    masks[0, : side // 2, 1:] = masks[1, 2, 3] = masks[3] = True
    masks[4, ::2] = True
    found = multigrid(pixels, masks)
    np.testing.assert_array_equal(found[~masks], pixels[~masks])
    np.testing.assert_array_equal(found[3], 0)
    for i in (0, 1, 4):
        known = pixels[i][~masks[i]]
        assert known.min() <= found[i].min() and found[i].max() <= known.max()
        alone = multigrid(pixels[i : i + 1], masks[i : i + 1])[0]
        np.testing.assert_allclose(found[i], alone, rtol=1e-12)
    if side % 2 == 0:
        around = pixels[1, 1, 3], pixels[1, 3, 3], pixels[1, 2, 2], pixels[1, 2, 4]
        np.testing.assert_allclose(found[1, 2, 3], np.mean(around, axis=0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bridged_context_tells_nothing_of_what_is_hidden(kind: str):
    holes = Holes(kind, 128, 64, 4, prefilled=True)
    masks, corners = holes.draw(3, np.random.default_rng(2))
    pixels = squares(128)
    other = np.where(masks[..., None], np.float32(0.123), pixels)
    one, two = (with_holes(x, masks, corners, holes) for x in (pixels, other))
    np.testing.assert_array_equal(one.context, two.context)
    np.testing.assert_allclose(one.context[~masks], 2 * pixels[~masks] - 1, atol=1e-6)
    plain = with_holes(pixels, masks, corners, Holes(kind, 128, 64, 4)).context
    truth = 2 * pixels - 1
    assert np.square(one.context - truth).mean() < np.square(plain - truth).mean() / 1.2


def test_a_bridged_square_anywhere_is_part_of_a_whole_picture():
    """Its place is then known to the network that corrects it."""
    holes = Holes("random", 128, 64, 4, prefilled=True)
    masks, corners = holes.draw(50, np.random.default_rng(0))
    assert holes.full_image and not corners.any() and (masks.sum(axis=(1, 2)) == 56**2).all()
    assert not Holes("random", 128, 64, 4).full_image and not Holes("centre", 128, 64, 4).full_image


@pytest.mark.parametrize("whole", [False, True])
def test_the_compact_net_adds_to_what_is_there(whole: bool):
    """It returns the middle, unless it is whole. At first it adds next to nothing."""
    network, _ = build("compact", rng=np.random.default_rng(0), width=1 / 16, full_image=whole)
    assert isinstance(network, CompactGenerator)
    x = np.random.default_rng(1).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
    there = x if whole else x[:, 32:96, 32:96]
    given, added = network(x).data, network.added(x).data
    np.testing.assert_allclose(given, there + added, atol=1e-6)
    assert 0 < np.abs(added).mean() < 0.05


def test_links_carry_what_lies_beside_the_hole():
    """A change just above the square reaches the upper part of its filling, not the lower part."""
    network, _ = build("compact", rng=np.random.default_rng(0), width=1 / 16)
    assert isinstance(network, CompactGenerator)
    network.train(False).astype(np.float64)
    for layer in network.mixing.modules():  # the layer that mixes all positions adds nothing
        if isinstance(layer, nn.BatchNorm):
            layer.gamma.data[:] = layer.beta.data[:] = 0
    x = np.random.default_rng(1).uniform(-1, 1, (1, 128, 128, 3))
    other = x.copy()
    other[:, 24:30, 40:50] += 0.5  # a little above the square
    change = np.abs(network.added(other).data - network.added(x).data)[0].sum(axis=2)
    assert change[:8, 8:18].max() > 1e-9 > change[40:].max()
