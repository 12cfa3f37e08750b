"""An SSDA repairs whole pictures, and its weights are saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint
from minidl.checkpoint import CheckpointError
from minidl.models.images.patches import gaussian_window, map_patches
from minidl.models.ssda import SSDA, Coding, Noise, Restorer, Text, TextCoding
from minidl.models.ssda.restorer import OPPONENT, _steps, wiener_mix
from minidl.models.ssda.text_inpainting import blend_by_probability, inpaint

Rng = np.random.Generator


NOISE, PLAIN = Noise(25), Coding()


FINDING = TextCoding(inner=4)


def restorer_of(trained: Noise | Text = NOISE, coding: Coding | TextCoding = PLAIN) -> Restorer:
    inputs, outputs = coding.sizes(36)
    network = SSDA(inputs, (9, 7), outputs, rng=np.random.default_rng(0), gain=4)
    return Restorer(network, 6, coding, trained)


# --- whole pictures ------------------------------------------------------------------------------

SHAPES = [(13, 17, 1), (13, 17, 3), (1, 1, 1), (1, 1, 3), (3, 30, 3), (5, 5, 1), (6, 6, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("trained", "coding"),
    [(Noise(25), PLAIN), (Text(), PLAIN), (Text(), FINDING)],
    ids=["noise", "text", "text, found"],
)
@pytest.mark.parametrize("stride", [1, 3, 99])
def test_repair_of_any_size(
    shape: tuple[int, int, int],
    trained: Noise | Text,
    coding: Coding | TextCoding,
    stride: int,
    rng: Rng,
) -> None:
    pixels, calls = rng.random(shape, dtype=np.float32), []
    before = pixels.copy()
    repaired = restorer_of(trained, coding).repair(
        pixels, stride=stride, progress=lambda *done: calls.append(done)
    )
    assert repaired.shape == shape and repaired.dtype == np.float32
    assert repaired.min() >= 0 and repaired.max() <= 1
    np.testing.assert_array_equal(pixels, before)
    assert calls[-1][0] == calls[-1][1] and calls == sorted(calls)


@pytest.mark.parametrize("trained", [Noise(25), Text()])
@pytest.mark.parametrize("use_network_pixels", [False, True])
@pytest.mark.parametrize("finds", [False, True])
def test_what_leaves_the_range_is_clipped(
    trained: Noise | Text, use_network_pixels: bool, finds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network may return any number; a picture is in [0, 1], and reaches both ends."""
    if finds:
        trained = Text()
    restorer = restorer_of(trained, FINDING if finds else PLAIN)

    def anything(image: np.ndarray, *, find: bool = False, **_: Any) -> np.ndarray:
        sides = np.repeat(np.array([[-2, 3]], image.dtype), 4, axis=1)
        return np.where(find, 1, np.broadcast_to(sides, image.shape)).astype(image.dtype)

    monkeypatch.setattr(restorer, "repair_channel", anything)
    monkeypatch.setattr("minidl.models.ssda.restorer.inpaint", lambda x, text, progress: 5 * x - 2)
    pixels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    found = restorer.repair(pixels, use_network_pixels=use_network_pixels)
    assert (found.min(), found.max()) == (0, 1)


def test_opponent_colours_are_orthonormal(rng: Rng) -> None:
    np.testing.assert_allclose(OPPONENT @ OPPONENT.T, np.eye(3), atol=1e-6)
    assert np.abs(OPPONENT[1:].sum(axis=1)).max() < 1e-6  # grey has no colour
    pixels, restorer = rng.random((9, 9, 3), dtype=np.float32), restorer_of()
    apart = [restorer.repair_channel((pixels @ OPPONENT.T)[..., c]) for c in range(3)]
    expected = np.clip(np.stack(apart, axis=2) @ OPPONENT, 0, 1)
    np.testing.assert_allclose(restorer.repair(pixels), expected, atol=1e-6)


def test_text_is_taken_out_of_red_green_and_blue_alike(rng: Rng) -> None:
    pixels, restorer = rng.random((11, 9, 3), dtype=np.float32), restorer_of(Text())
    apart = [restorer.repair(pixels[..., c : c + 1]) for c in range(3)]
    np.testing.assert_allclose(restorer.repair(pixels), np.concatenate(apart, axis=2), atol=1e-6)


@pytest.mark.parametrize("use_network_pixels", [False, True])
def test_text_in_any_channel_is_taken_out_of_all(use_network_pixels: bool, rng: Rng) -> None:
    pixels, restorer = rng.random((13, 9, 3), dtype=np.float32), restorer_of(Text(), FINDING)
    text = [restorer.repair_channel(pixels[..., c], find_text=True) for c in range(3)]
    assert np.min(text) >= 0 and np.max(text) <= 1
    if use_network_pixels:
        apart = [restorer.repair_channel(pixels[..., c]) for c in range(3)]
        expected = blend_by_probability(pixels, np.stack(apart, axis=2), np.max(text, axis=0))
    else:
        expected = inpaint(pixels, np.max(text, axis=0))
    found = restorer.repair(pixels, use_network_pixels=use_network_pixels)
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=1e-6)
    with pytest.raises(ValueError, match="not trained to find text"):
        restorer_of(Text()).repair_channel(pixels[..., 0], find_text=True)


@pytest.mark.parametrize("sigma", [5, 12.5, 20, 25, 50, 100])
@pytest.mark.parametrize(("contrast", "largest"), [(0.99, 1.6), (0.4, 3.2), (0.06, 25.6)])
def test_other_noise_is_scaled_to_the_level_that_is_known(
    contrast: float, largest: float, sigma: float, rng: Rng
) -> None:
    """The picture's contrast limits the scaling."""
    image = contrast * rng.random((20, 15), dtype=np.float32)
    restorer = restorer_of()
    window, scale = gaussian_window(6, spread=0.25), min(25 / sigma, largest)
    by_hand = map_patches(scale * image, restorer.repair_patches, size=6, stride=3, window=window)
    expected = (by_hand / scale)[..., None]
    if sigma < 25:
        expected = wiener_mix(image[..., None], expected, sigma)
    found = restorer.repair(image[..., None], sigma=sigma)
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=1e-5)
    if sigma == 25:
        np.testing.assert_array_equal(found, restorer.repair(image[..., None]))


@pytest.mark.parametrize("sigma", [0.0, -1.0, 256.0, float("nan")])
def test_noise_that_makes_no_sense(sigma: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        restorer_of().repair(np.zeros((9, 9, 1), np.float32), sigma=sigma)


def test_a_repair_is_trusted_where_it_takes_noise_alone(rng: Rng) -> None:
    clean = np.full((60, 60, 3), 0.5)
    noisy = clean + rng.standard_normal(clean.shape) * 10 / 255
    np.testing.assert_allclose(wiener_mix(noisy, clean, 20), clean)
    np.testing.assert_allclose(wiener_mix(noisy, noisy, 20), noisy)
    wrong = clean + 30 / 255  # takes 30 grey levels besides: a weight of 10^2 / (10^2 + 30^2)
    mixed = wiener_mix(noisy, wrong, 10)
    assert (mixed - noisy).mean() == pytest.approx((wrong - noisy).mean() / 10, rel=0.1)


def test_a_filter_is_the_slope_of_a_unit_at_a_flat_patch() -> None:
    for restorer in (restorer_of(), restorer_of(Text(), FINDING)):
        restorer.network.astype(np.float64)
        encoder = restorer.network.autoencoders[0]
        encoder.encoder.b.data += np.linspace(-3, 3, 9)
        inputs, step = encoder.encoder.w.shape[0], 1e-6
        flat = np.zeros((36, inputs)) + step * np.eye(36, inputs)
        slopes = (encoder.encode(flat).data - encoder.encode(np.zeros((1, inputs))).data) / step
        assert restorer.filters().shape == (36, 9)
        np.testing.assert_allclose(restorer.filters(), slopes, atol=1e-4)


# --- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trained", "coding"),
    [(Noise(25), Coding(gain=3)), (Text(18, 24), Coding(gain=3)), (Text(18, 24), FINDING)],
    ids=["noise", "text", "text, found"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_restorer_round_trip(
    trained: Any, coding: Any, dtype: Any, tmp_path: Path, rng: Rng
) -> None:
    path, restorer = tmp_path / "a.safetensors", restorer_of(trained, coding)
    restorer.save(path, dtype=dtype, note="kept")
    loaded = Restorer.load(path)
    assert loaded.about() == restorer.about() and checkpoint.about(path)["note"] == "kept"
    pixels = rng.random((20, 15, 3), dtype=np.float32)
    expected, found = restorer.repair(pixels), loaded.repair(pixels)
    assert found.dtype == np.float32
    if dtype == np.float32:
        np.testing.assert_array_equal(found, expected)
    else:
        assert 0 < np.abs(found - expected).max() < 5e-3


ABOUT: list[tuple[str, dict[str, Any]]] = [
    ("kind 'context-encoder'; expected 'ssda'", {"model": "context-encoder"}),
    ("a damaged ssda checkpoint", {"hidden": [9]}),
    ("a damaged ssda checkpoint", {"hidden": [9, 8]}),
    ("a damaged ssda checkpoint", {"hidden": 9}),
    ("a damaged ssda checkpoint", {"patch": 5}),
    ("a damaged ssda checkpoint", {"patch": "six"}),
    ("a damaged ssda checkpoint", {"coding": {"brightness": 1}}),
    ("a damaged ssda checkpoint", {"coding": {"inner": 3}}),
    ("a damaged ssda checkpoint", {"coding": {"inner": "four"}}),
    ("a damaged ssda checkpoint", {"damage": {"kind": "rain"}}),
    ("a damaged ssda checkpoint", {"damage": {"kind": "noise", "sigma": "25"}}),
]


@pytest.mark.parametrize(("words", "change"), ABOUT, ids=[str(row[1]) for row in ABOUT])
def test_restorer_refuses_another_description(
    words: str, change: dict[str, Any], tmp_path: Path
) -> None:
    path, restorer = tmp_path / "a.safetensors", restorer_of()
    checkpoint.save(path, {"model": restorer.network.state()}, restorer.about() | change)
    with pytest.raises(CheckpointError, match=words) as caught:
        Restorer.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


FILES: list[tuple[str, Callable[[Path], Any]]] = [
    ("missing", lambda path: path.unlink()),
    ("empty", lambda path: path.write_bytes(b"")),
    ("text", lambda path: path.write_text("not weights")),
    ("cut", lambda path: path.write_bytes(path.read_bytes()[:-99])),
    ("no model", lambda path: checkpoint.save(path, {}, restorer_of().about())),
    ("no description", lambda path: checkpoint.save(path, {}, {})),
]


@pytest.mark.parametrize(("name", "spoil"), FILES, ids=[row[0] for row in FILES])
def test_restorer_refuses_damaged_files(
    name: str, spoil: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    restorer_of().save(path)
    spoil(path)
    with pytest.raises(CheckpointError) as caught:
        Restorer.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_progress_of_steps_never_goes_back() -> None:
    """This also holds if a later step counts other units, such as tiles instead of patches."""
    told: list[tuple[int, int]] = []
    first, second = _steps(lambda *some: told.append(some), 2)
    for done in (1, 4):
        first(done, 4)
    for done in (1, 2):
        second(done, 2)
    assert told == [(1, 8), (4, 8), (6, 8), (8, 8)]
    _steps(None, 1)[0](1, 1)
