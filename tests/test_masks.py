"""Holes: their statistics in training, and the masks that users may give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from minidl.models.context_encoder import KINDS, Holes
from minidl.models.context_encoder.masks import (
    PAPER_OVERLAP_WEIGHT,
    blocks,
    dilate,
    from_box,
    from_picture,
    gather,
    gather_bilinear,
)  # fmt: skip
from minidl.models.images.files import Picture, PictureError, write

SIZE, SIDE = 128, 64


def drawn(kind: str, n: int = 200, overlap: int = 0, seed: int = 1) -> np.ndarray:
    return Holes(kind, SIZE, SIDE, overlap).draw(n, np.random.default_rng(seed))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_holes(kind: str):
    np.testing.assert_array_equal(drawn(kind, 5), drawn(kind, 5))
    assert drawn(kind).shape == (200, SIZE, SIZE) and drawn(kind).dtype == bool


def test_centre():
    masks, corners = Holes("centre", SIZE, SIDE, 7).draw(2, np.random.default_rng(0))
    assert corners.tolist() == [[32, 32]] * 2
    assert masks[:, 39:89, 39:89].all() and masks.sum() == 2 * 50**2


def test_random_squares_are_anywhere_and_have_their_corner():
    holes = Holes("random", SIZE, SIDE, 4)
    masks, corners = holes.draw(2000, np.random.default_rng(0))
    assert (masks.sum(axis=(1, 2)) == 56**2).all()
    assert corners.min() == 0 and corners.max() == SIZE - SIDE
    for mask, (top, left) in zip(masks[:50], corners[:50], strict=True):
        assert mask[top + 4 : top + 60, left + 4 : left + 60].all()
    assert masks[:, 8:-8, 8:-8].any(axis=0).all()


def test_blocks_cover_up_to_a_quarter():
    area = drawn("block").mean(axis=(1, 2))
    assert area.min() > 0.01 and 0.2 < area.max() <= 0.25
    assert 0.08 < area.mean() < 0.2
    assert drawn("block", 1000)[:, 4:-4, 4:-4].any(axis=0).all()


def test_blocks_are_of_all_sizes_and_in_all_places():
    rng = np.random.default_rng(0)
    drawn = np.concatenate([blocks(16, rng) for _ in range(3000)])
    drawn = drawn[drawn[:, 2] > 0]  # the others are empty
    sides = drawn[:, 2:] - drawn[:, :2]
    for axis in (0, 1):
        assert set(sides[:, axis]) == {2, 3, 4, 5}
        for side in (2, 3, 4, 5):
            first = drawn[sides[:, axis] == side, axis]
            assert set(first) == set(range(16 - side + 1))
    counts = [(blocks(16, rng)[:, 2] > 0).sum() for _ in range(300)]
    assert set(counts) == {1, 2, 3, 4, 5}


def test_regions_cover_a_fifth_to_three_tenths_in_arbitrary_shapes():
    masks = drawn("region")
    area = masks.mean(axis=(1, 2))
    assert area.min() >= 0.2 and area.max() <= 0.3
    # Smooth: a hole's border is short. Noise of 128 x 128 pixels would change at every third.
    assert (masks[:, :, 1:] != masks[:, :, :-1]).mean() < 0.08
    assert masks.mean(axis=0).min() > 0.1 and masks.mean(axis=0).max() < 0.45  # everywhere


def test_the_rim_weighs_ten_times_as_in_the_paper():
    assert Holes("centre", 128, 64, 4).overlap_weight == PAPER_OVERLAP_WEIGHT == 10


def test_weights_of_the_loss():
    holes = Holes("centre", SIZE, SIDE, 4)
    weight = holes.weight(drawn("centre", 3, 4))
    assert weight.shape == (1, SIDE, SIDE, 1)
    assert (weight[:, 4:-4, 4:-4] == 1).all() and (weight[:, :4] == PAPER_OVERLAP_WEIGHT).all()
    masks = drawn("region", 3)
    np.testing.assert_array_equal(Holes("region", SIZE, SIDE).weight(masks)[..., 0], masks)
    weight = Holes("region", SIZE, SIDE, 2, 3.0).weight(masks)[..., 0]
    near = np.stack([ndimage.binary_dilation(mask, np.ones((5, 5))) for mask in masks])
    np.testing.assert_array_equal(weight, np.where(masks, 1, 3 * near))


@pytest.mark.parametrize(("kind", "overlap"), [("circle", 0), ("centre", 32), ("centre", -1)])
def test_holes_that_make_no_sense(kind: str, overlap: int):
    with pytest.raises(ValueError, match="expected"):
        Holes(kind, SIZE, SIDE, overlap)


# --- a user's masks -------------------------------------------------------------------------------


def test_a_box_is_x_y_width_height():
    mask = from_box((3, 1, 2, 4), (6, 8))
    assert mask[1:5, 3:5].all() and mask.sum() == 8
    with pytest.raises(ValueError, match="reaches over the border of the picture, which is 8x6"):
        from_box((3, 1, 6, 2), (6, 8))


def test_a_mask_from_a_picture(tmp_path: Path):
    values = np.zeros((6, 8, 3), np.float32)
    values[2, 3], values[2, 4], values[2, 5] = 1.0, 0.6, 0.4
    write(tmp_path / "mask.png", values)
    mask = from_picture(tmp_path / "mask.png", (6, 8))
    assert np.argwhere(mask).tolist() == [[2, 3], [2, 4]]
    with pytest.raises(PictureError, match="the mask is 8x6, the picture 9x6; expected one size"):
        from_picture(tmp_path / "mask.png", (6, 9))
    (tmp_path / "garbage.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="is not a picture"):
        from_picture(tmp_path / "garbage.png", (6, 8))
    with pytest.raises(PictureError, match="there is no such file"):
        from_picture(tmp_path / "missing.png", (6, 8))


def test_what_is_transparent_in_a_mask_is_no_hole(tmp_path: Path):
    alpha = np.zeros((6, 8), np.float32)
    alpha[1:3, 2:5] = 1
    write(tmp_path / "mask.png", Picture(np.ones((6, 8, 3), np.float32), alpha))
    np.testing.assert_array_equal(from_picture(tmp_path / "mask.png", (6, 8)), alpha == 1)


def test_growing_is_by_a_disc():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    larger = dilate(mask, 2)
    assert larger.sum() == 13 and larger[2, 4] and not larger[2, 3]
    assert dilate(mask, 0) is mask
    assert not dilate(np.zeros((3, 3), bool), 2).any()


# --- pieces of pictures ---------------------------------------------------------------------------


def test_between_pixels_lies_their_mean(rng: np.random.Generator) -> None:
    pictures = rng.integers(0, 256, (3, 9, 7, 2)).astype(np.uint8)
    which, rows, columns = (
        np.array([2, 0]),
        np.array([[0, 4, 7], [1, 2, 3]]),
        np.array([[0, 5]] * 2),
    )
    pieces = gather(pictures, which, rows, columns)
    assert pieces.shape == (2, 3, 2, 2) and (pieces[0, 1, 1] == pictures[2, 4, 5]).all()
    np.testing.assert_array_equal(gather_bilinear(pictures, which, rows, columns), pieces)
    np.testing.assert_array_equal(
        gather_bilinear(pictures, which, rows + 1.0, columns + 1.0),
        gather(pictures, which, rows + 1, columns + 1),
    )  # the last row and column too
    between = [gather(pictures, which, rows + i, columns + j) for i in (0, 1) for j in (0, 1)]
    found = gather_bilinear(pictures, which, rows + 0.5, columns + 0.5)
    np.testing.assert_allclose(found, np.mean(between, axis=0), rtol=1e-6)
    assert found.dtype == np.float32
