"""Noise that changes with brightness: estimated, equalised, and removed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minidl.models import cli
from minidl.models.images import noise
from minidl.models.images.files import read, write
from minidl.models.images.noise import MIN_RATIO, NoiseCurve, rounding_step
from minidl.models.images.samples import photograph
from minidl.models.images.scores import estimate_sigma, psnr


def ramp(side: int = 160) -> np.ndarray:
    """Return a picture (side, side, 1) of every brightness, without texture."""
    values = np.linspace(0.05, 0.95, side, dtype=np.float32)
    return np.repeat(values[None, :, None], side, axis=0)


def spoilt(y: np.ndarray, black: float, white: float, rng: np.random.Generator) -> np.ndarray:
    s = np.sqrt((1 - y) * black**2 + y * white**2) / 255
    return (y + s * rng.standard_normal(y.shape)).astype(np.float32)


@pytest.mark.parametrize(("black", "white"), [(5, 20), (24, 8), (10, 60), (0, 20)])
@pytest.mark.parametrize("name", ["ramp", "coffee", "chelsea"])
def test_uneven_noise_is_found(
    black: float, white: float, name: str, rng: np.random.Generator
) -> None:
    y = ramp() if name == "ramp" else photograph(name)[:200, :200]
    found = NoiseCurve.of(spoilt(y, black, white, rng))
    assert found.uneven
    off = 0.2 * max(black, white)  # by the texture of photographs
    assert found.black == pytest.approx(max(black, MIN_RATIO * white), abs=off)
    assert found.white == pytest.approx(max(white, MIN_RATIO * black), abs=off)


@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("name", ["ramp", "coffee", "astronaut", "rocket"])
def test_even_noise_stays_as_it_is(sigma: float, name: str, rng: np.random.Generator) -> None:
    noisy = spoilt(ramp() if name == "ramp" else photograph(name)[:200, :200], sigma, sigma, rng)
    found = NoiseCurve.of(noisy)
    assert not found.uneven and found.sigma == estimate_sigma(noisy)
    assert found.flatten(noisy) is noisy and found.unflatten(noisy) is noisy


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 3), (4, 4, 1), (5, 5, 3)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_small_and_flat_pictures_have_no_noise(shape: tuple[int, int, int], value: float) -> None:
    found = NoiseCurve.of(np.full(shape, value, np.float32))
    assert found == NoiseCurve(0.0, 0.0) and found.sigma == 0


@pytest.mark.parametrize("shape", [(4, 90, 1), (90, 4, 3), (3, 3, 1)])
def test_small_pictures_have_even_noise(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    """They have too few pixels to estimate a curve."""
    y = np.broadcast_to(np.linspace(0.05, 0.95, shape[1], dtype=np.float32)[:, None], shape)
    noisy = spoilt(y, 2, 60, rng)
    found = NoiseCurve.of(noisy)
    assert found.black == found.white == estimate_sigma(noisy) > 0


@pytest.mark.parametrize(
    ("level", "width", "enough"),
    [
        (0.5, 20, False), (0.5, 26, True), (0.09, 90, False), (0.91, 90, False),
        (0.12, 90, True), (0.88, 90, True),
    ],
)  # fmt: skip
def test_a_quarter_must_be_neither_black_nor_white(level: float, width: int, enough: bool) -> None:
    """Clipped noise cannot be measured."""
    pixels = np.zeros((50, 100, 1), np.float32)
    pixels[:, 50 - width // 2 : 50 + width // 2] = level
    assert (noise._fit(pixels, 0.05) is not None) == enough


def test_a_ratio_of_two_is_no_unevenness(monkeypatch: pytest.MonkeyPatch) -> None:
    for pair, expected in (
        ((0.02, 0.04), (6.0, 6.0)), ((0.04, 0.02), (6.0, 6.0)),
        ((0.02, 0.05), (255 * 0.02, 255 * 0.05)), ((0.004, 0.1), (255 * 0.015, 25.5)),
        ((0.1, 0.0), (25.5, 255 * 0.015)),
    ):  # fmt: skip
        monkeypatch.setattr(noise, "estimate_sigma", lambda _: 6.0)
        monkeypatch.setattr(noise, "_fit", lambda _, even, pair=pair: pair)
        found = NoiseCurve.of(ramp(9))
        assert (found.black, found.white) == pytest.approx(expected)


@pytest.mark.parametrize("curve", [NoiseCurve(5, 20), NoiseCurve(24, 8), NoiseCurve(3, 20)])
def test_a_curve_is_the_integral_of_one_over_s(curve: NoiseCurve) -> None:
    """By hand, 1 / s has the integral 2 s / (w^2 - b^2)."""
    b, w = curve.black / 255, curve.white / 255
    x = np.linspace(0, 1, 51)
    s = np.sqrt((1 - x) * b**2 + x * w**2)
    np.testing.assert_allclose(curve._deviation(x), s)
    np.testing.assert_allclose(curve._deviation(np.array([-1.0, 2.0])), [b, w])
    integral = 2 * (s - b) / (w**2 - b**2)
    assert curve.sigma == pytest.approx(255 / integral[-1], rel=2e-3)
    np.testing.assert_allclose(curve.flatten(x), integral / integral[-1], atol=2e-3)
    before, after = curve.flatten(np.array([-0.2, -0.1])), curve.flatten(np.array([1.1, 1.2]))
    k = 1 / integral[-1]
    assert before[1] == pytest.approx(-0.1 * k / b, rel=0.05)
    assert before[0] == pytest.approx(2 * before[1])
    assert after[1] - 1 == pytest.approx(2 * (after[0] - 1))
    assert after[0] == pytest.approx(1 + 0.1 * k / w, rel=0.05)
    ends = curve.unflatten(np.array([-9.0, 9.0]))
    assert ends.tolist() == [-0.25, 1.25]


@pytest.mark.parametrize("curve", [NoiseCurve(5, 20), NoiseCurve(24, 8), NoiseCurve(3, 20)])
def test_flattened_noise_is_the_same_everywhere(
    curve: NoiseCurve, rng: np.random.Generator
) -> None:
    y = np.array([0.1, 0.3, 0.6, 0.9], np.float32)
    s = np.sqrt((1 - y) * curve.black**2 + y * curve.white**2) / 255
    x = (y + s * rng.standard_normal((40_000, 4))).astype(np.float32)
    flat = curve.flatten(x)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(255 * flat.std(axis=0), curve.sigma, rtol=0.03)
    ends = curve.flatten(np.array([-0.1, 0.0, 1.0, 1.1]))
    assert ends[1:3].tolist() == pytest.approx([0, 1], abs=1e-12)
    assert ends[0] < 0 and ends[3] > 1


@pytest.mark.parametrize("curve", [NoiseCurve(5, 20), NoiseCurve(24, 8), NoiseCurve(7, 46)])
def test_a_perfect_network_gives_the_picture_back(
    curve: NoiseCurve, rng: np.random.Generator
) -> None:
    """It returns the mean of the equalised picture, for one brightness and for a ramp. (The plain
    inverse of f would make pictures too dark by 0.3 to 2.6 grey levels.)"""
    truth = np.append([0.0, 0.02, 1.0], np.linspace(0.05, 0.95, 10))
    noisy = truth + curve._deviation(truth) * rng.standard_normal((200_000, len(truth)))
    perfect = curve.flatten(noisy).mean(axis=0)
    np.testing.assert_allclose(255 * curve.unflatten(perfect), 255 * truth, rtol=0, atol=0.35)
    wide = np.linspace(-0.2, 1.2, 200)
    assert (np.diff(curve.unflatten(curve.flatten(wide))) > 0).all()
    assert curve.unflatten(perfect.astype(np.float32)).dtype == np.float32


def test_denoise_tells_and_evens_uneven_noise(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = photograph("coffee")[100:228, 200:328]
    write(tmp_path / "a.png", spoilt(clean, 10, 50, rng))
    noisy = read(tmp_path / "a.png").pixels
    sigma = estimate_sigma(noisy)
    for name, level in (("auto", "auto"), ("one", f"{sigma}")):
        line = f"denoise {tmp_path}/a.png -o {tmp_path}/{name}.png --sigma {level} --device cpu"
        assert cli.main(shlex.split(line)) == 0
    told = capsys.readouterr().out.splitlines()
    assert re.search(r"sigma [\d.]+, [\d.]+ in black, [\d.]+ in white, denoise-\d+", told[0])
    assert "in black" not in told[1]
    auto, one = (psnr(clean, read(tmp_path / f"{n}.png").pixels) for n in ("auto", "one"))
    assert auto > one + 1 > psnr(clean, noisy) + 1


def test_noise_of_a_picture_that_uses_few_of_its_bits(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Microscopes write 12 bits into files of 16 bits: the noise is below one step of 8 bits. Such
    a picture is repaired as well as one that uses all bits."""
    truth = photograph("coffee")[100:164, 200:280, :1] * 3000 + 200
    noisy = np.clip(truth + 100 * rng.standard_normal(truth.shape), 0, 4095).astype(np.uint16)
    errors = []
    for name, factor in (("low", 1), ("full", 16)):
        Image.fromarray(noisy[..., 0] * factor).save(tmp_path / f"{name}.png")
        line = f"denoise {tmp_path}/{name}.png -o {tmp_path}/{name}-out.png --device cpu"
        assert cli.main(shlex.split(line)) == 0
        found = np.asarray(Image.open(tmp_path / f"{name}-out.png")) / factor
        errors.append(np.sqrt(np.mean((found - truth[..., 0]) ** 2)))
    assert max(errors) < 80 and abs(errors[0] - errors[1]) < 5


def test_the_rounding_step_is_that_of_the_numbers() -> None:
    levels = np.arange(256, dtype=np.float32)[:, None, None] / 255
    assert rounding_step(levels) == rounding_step(levels[:0]) == 1
    assert rounding_step(np.arange(65536, dtype=np.float32)[:, None, None] / 65535) == 1 / 257


def test_five_pixels_to_a_side_are_enough() -> None:
    for side, enough in ((4, False), (5, True)):
        for shape in ((side, 30, 1), (30, side, 1)):
            grey = np.full(shape, 0.5, np.float32)
            assert (noise._fit(grey, 0.05) is not None) == enough
