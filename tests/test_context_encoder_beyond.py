"""Beyond the paper: global and local critics, texture from the most similar patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from minidl import Tensor, gradients, ops
from minidl.device import CPU
from minidl.models.context_encoder import Settings
from minidl.models.context_encoder.data import Photographs
from minidl.models.context_encoder.global_local import GlobalLocal, GlobalLocalTrainer, framed
from minidl.models.context_encoder.texture_transfer import transfer_texture

TINY = Settings(width=1 / 12, batch=2, warmup_share=0.0, adversarial=0.5)


class Noise(Photographs):
    """Pictures of noise, in memory."""

    def __init__(self, count: int) -> None:
        self.paths, self.side = [], 136
        self.pixels = np.random.default_rng(0).integers(0, 256, (count, 136, 136, 3), np.uint8)

    def __len__(self) -> int:
        assert self.pixels is not None
        return len(self.pixels)


# --- global and local critics ---------------------------------------------------------------------


def test_a_framed_square_lies_in_the_middle():
    rng = np.random.default_rng(0)
    context, square = rng.random((2, 8, 8, 3)), rng.random((2, 4, 4, 3))
    picture = framed(context, Tensor(square)).data
    np.testing.assert_array_equal(picture[:, 2:6, 2:6], square)
    outside = np.ones((8, 8), bool)
    outside[2:6, 2:6] = False
    np.testing.assert_array_equal(picture[:, outside], context[:, outside])


def test_both_critics_judge_and_teach():
    """The logit's gradient by the square, through both critics, against float64 differences."""
    rng = np.random.default_rng(0)
    critic = GlobalLocal(lambda c: max(1, c // 12), side=32, rng=rng).astype(np.float64)
    context, square = rng.uniform(-1, 1, (2, 64, 64, 3)), rng.uniform(-1, 1, (2, 32, 32, 3))
    weights, direction = rng.standard_normal((2, 1)), rng.standard_normal(square.shape)

    def value(x: Tensor) -> Tensor:
        return ops.sum(critic(framed(context, x), x) * weights)

    x = Tensor(square)
    (g,) = gradients(value(x), [x])
    step = 1e-7 * direction
    slope = (value(Tensor(square + step)).item() - value(Tensor(square - step)).item()) / 2e-7
    assert slope == pytest.approx(float((g * direction).sum()), rel=1e-5)
    before = value(x).item()
    assert value(Tensor(square)).item() == before
    context[:, :4] += 0.5  # only the global critic sees this
    assert value(x).item() != before


def test_a_training_with_both_critics_moves_both_players():
    rng = np.random.default_rng(0)
    trainer = GlobalLocalTrainer(TINY, Noise(4), steps=2, rng=rng, device=CPU)
    players = trainer.generator, trainer.discriminator
    before = [[p.data.copy() for p in player.parameters()] for player in players]
    for _ in trainer.run():
        pass
    for player, was in zip(players, before, strict=True):
        pairs = zip(player.parameters(), was, strict=True)
        assert sum((p.data != w).any() for p, w in pairs) > 0.8 * len(was)
    groups, about = trainer.state()
    again = GlobalLocalTrainer(TINY, Noise(4), steps=2, rng=rng, device=CPU)
    again.load_state(groups, about)
    assert again.done == 2
    assert (again.d_optimizer.beta1, again.d_optimizer.lr) == (0.5, TINY.discriminator_rate)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mask": "region"}, "mask 'region', expected 'centre'"),
        (
            {"net": "report", "width": 1 / 64},
            "global and local discriminators: not for the net 'report'",
        ),
    ],
)
def test_both_critics_are_for_squares_of_half_a_side(change: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        GlobalLocalTrainer(
            replace(TINY, **change), Noise(4), steps=2, rng=np.random.default_rng(0), device=CPU
        )


def test_the_critics_are_as_large_as_they_were(rng: np.random.Generator):
    critic = GlobalLocal(lambda c: c, side=64, rng=rng)
    shapes = [p.shape for p in critic.parameters() if len(p.shape) > 1]
    of_picture = [(3, 3, 3, 24), (3, 3, 24, 24), (3, 3, 24, 48), (3, 3, 48, 96), (3, 3, 96, 128)]
    of_square = [(3, 3, 3, 24), (3, 3, 24, 48), (3, 3, 48, 96), (3, 3, 96, 128)]
    assert shapes == [
        *of_picture, (4 * 4 * 128, 256), *of_square, (4 * 4 * 128, 256), (512, 1)
    ]  # fmt: skip


# --- texture --------------------------------------------------------------------------------------


def stripes(size: int = 96) -> np.ndarray:
    """Return fine stripes on the left and a flat right side, with a slow change of brightness from
    left to right that distinguishes the halves."""
    rows, columns = np.mgrid[:size, :size]
    slow = 0.3 + 0.4 * (columns > size // 2)
    fine = 0.1 * np.sin(rows * np.pi / 2) * (columns < size // 2)
    return np.repeat((slow + fine)[..., None], 3, axis=2).astype(np.float32)


def test_texture_comes_from_what_is_alike():
    """A smooth filling gets stripes on the striped side, and none on the flat side."""
    truth = stripes()
    smooth = np.repeat(np.where(np.arange(96) > 48, 0.7, 0.3)[None, :, None], 96, axis=0)
    hole = np.zeros((96, 96), bool)
    hole[32:64, 12:84] = True
    picture = np.where(hole[..., None], smooth, truth).astype(np.float32)
    result = transfer_texture(picture, hole, ~hole)
    np.testing.assert_array_equal(result[~hole], picture[~hole])
    assert result.dtype == np.float32 and result.min() >= 0 and result.max() <= 1
    left, right = result[36:60, 16:40, 0], result[36:60, 58:80, 0]
    assert left.std(axis=0).mean() > 0.6 * truth[36:60, 16:40, 0].std(axis=0).mean()
    assert right.std(axis=0).mean() < 0.01


def by_hand(
    picture: np.ndarray, hole: np.ndarray, known: np.ndarray, side: int, scale: float
) -> np.ndarray:
    """Return the texture, patch by patch, for patches of `side` pixels."""
    coarse = ndimage.gaussian_filter(picture, (1.5 * scale, 1.5 * scale, 0))
    fine, (height, width) = picture - coarse, hole.shape
    places = [(top, left) for top in range(height - side + 1) for left in range(width - side + 1)]
    at = np.linspace(0, side - 1, 6).round().astype(int)

    def patch(of: np.ndarray, place: tuple[int, int]) -> np.ndarray:
        return of[place[0] : place[0] + side, place[1] : place[1] + side]

    def every(step: int, allowed: Callable[[np.ndarray], Any], of: np.ndarray) -> list[Any]:
        return [p for p in places if p[0] % step == p[1] % step == 0 and allowed(patch(of, p))]

    sources = every(max(1, side // 6), np.all, known)
    bell = np.sin(np.pi * np.arange(1, side + 1) / (side + 1)) ** 2
    window = np.sqrt(np.outer(bell, bell))[..., None]
    added, weight = np.zeros(picture.shape), np.zeros((height, width, 1))
    for target in every(side // 2, np.any, hole):
        wanted = patch(coarse, target)[np.ix_(at, at)]
        off = [np.square(patch(coarse, s)[np.ix_(at, at)] - wanted).sum() for s in sources]
        patch(added, target)[:] += window * patch(fine, sources[int(np.argmin(off))])
        patch(weight, target)[:] += window**2
    result = np.clip(coarse + added / np.sqrt(np.maximum(weight, 1e-6)), 0, 1)
    return np.where(hole[..., None], result, picture)


@pytest.mark.parametrize(("scale", "side"), [(1.0, 12), (0.5, 6), (0.24, 4)])
def test_texture_is_what_it_is_by_hand(scale: float, side: int, rng: np.random.Generator):
    picture = np.clip(1.4 * rng.random((40, 48, 3)) - 0.2, 0, 1).astype(np.float32)
    hole = np.zeros((40, 48), bool)
    hole[12:19, 5:25] = True  # its last patch has a single pixel
    known = ~hole
    known[:, 40:] = False
    found = transfer_texture(picture, hole, known, scale=scale)
    expected = by_hand(picture, hole, known, side, scale)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_array_equal(found[~hole], picture[~hole])
    assert (found[hole] != picture[hole]).any()


def test_without_a_valid_patch_nothing_changes():
    picture = stripes(20)
    hole = np.zeros((20, 20), bool)
    hole[4:16, 4:16] = True
    np.testing.assert_array_equal(transfer_texture(picture, hole, ~hole), picture)
