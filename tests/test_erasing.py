"""Filling the text that was found in a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minidl.models.images.corruptions import add_text
from minidl.models.images.samples import grey, photograph
from minidl.models.images.scores import psnr
from minidl.models.ssda import text_inpainting

Rng = np.random.Generator


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (7, 1, 1), (40, 30, 3)])
def test_a_picture_without_text_stays(shape: tuple[int, int, int], rng: Rng) -> None:
    x = rng.random(shape, dtype=np.float32)
    np.testing.assert_array_equal(text_inpainting.inpaint(x, np.zeros(shape[:2])), x)
    np.testing.assert_array_equal(
        text_inpainting.blend_by_probability(x, 1 - x, np.zeros(shape[:2])), x
    )
    everywhere = text_inpainting.inpaint(x, np.ones(shape[:2]))  # nothing is left to go on from
    assert everywhere.shape == shape and everywhere.dtype == np.float32
    np.testing.assert_array_equal(
        text_inpainting.blend_by_probability(x, 1 - x, np.ones(shape[:2])), 1 - x
    )


def test_a_slope_goes_on_under_text() -> None:
    slope = np.add.outer(np.arange(40.0), 2 * np.arange(50.0))[..., None] / 150
    text = np.zeros((40, 50))
    text[10:20, 8:30] = 1
    written = np.where(text[..., None] > 0, 1, slope)
    np.testing.assert_allclose(text_inpainting.inpaint(written, text), slope, atol=1e-9)


def test_what_is_filled_makes_the_sum_least(rng: Rng) -> None:
    """The sum of the module's docstring, written out: no change of u makes it smaller."""
    x, p = rng.random((9, 11)), np.clip(rng.random((9, 11)) * 1.5, 0.05, 1)
    p[0], p[:, 3] = 0, 0

    def energy(u: np.ndarray) -> float:
        down, right = np.diff(u, axis=0), np.diff(u, axis=1)
        bent = _outflow(down, right)
        doubt = p > text_inpainting.MIN_PROBABILITY
        trust = ((1 - p[doubt]) / p[doubt]) ** 2 * (u - x)[doubt] ** 2
        stretched = (down**2).sum() + (right**2).sum()
        return float(
            (bent**2).sum()
            + text_inpainting.TENSION * stretched
            + text_inpainting.FIDELITY * trust.sum()
        )

    best = text_inpainting.inpaint(x[..., None], p)[..., 0]
    np.testing.assert_array_equal(best[p == 0], x[p == 0])
    for _ in range(20):
        change = 1e-3 * rng.standard_normal(x.shape) * (p > 0)
        assert energy(best + change) > energy(best) < energy(best - change)


SPECKLED = """
import resource
import numpy as np
from minidl.models.ssda import text_inpainting

rng = np.random.default_rng(0)
x, p = rng.integers(0, 2, (280, 280, 1)).astype(np.float32), rng.uniform(0.04, 1, (280, 280))
u = text_inpainting.inpaint(x[:9, :9], p[:9, :9])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert np.isfinite(text_inpainting.inpaint(x, p)).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
def test_a_speckled_picture_takes_bounded_time_and_memory() -> None:
    """A network is unsure of every pixel of a dithered or halftone picture."""
    run = subprocess.run(
        [sys.executable, "-c", SPECKLED], cwd=Path(__file__).resolve().parents[1],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert int(run.stdout) < 250_000  # kilobytes


def test_progress_counts_tiles(monkeypatch: pytest.MonkeyPatch, rng: Rng) -> None:
    monkeypatch.setattr(text_inpainting, "TILE_SIDE", 16)
    told: list[tuple[int, int]] = []
    text_inpainting.inpaint(
        rng.random((40, 30, 1)), rng.random((40, 30)), lambda *some: told.append(some)
    )
    assert told == [(i, 6) for i in range(1, 7)]


def _outflow(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return minus the Laplacian, from the differences of neighbours."""
    out = np.zeros((right.shape[0], down.shape[1]))
    out[:-1] -= down
    out[1:] += down
    out[:, :-1] -= right
    out[:, 1:] += right
    return out


def test_tiles_leave_no_seams(rng: Rng, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = photograph("chelsea")[:100, :140]
    written, mask = add_text(clean, rng, sizes=(18, 24))
    text = np.where(mask, 0.97, 0.01)
    whole = text_inpainting.inpaint(written, text)
    assert psnr(clean, whole) > psnr(clean, written) + 12
    monkeypatch.setattr(text_inpainting, "TILE_SIDE", 33)
    np.testing.assert_allclose(text_inpainting.inpaint(written, text), whole, atol=0.02)
    apart = [text_inpainting.inpaint(written[..., c : c + 1], text) for c in range(3)]
    np.testing.assert_allclose(
        text_inpainting.inpaint(written, text), np.concatenate(apart, 2), atol=1e-6
    )


def test_doubt_keeps_what_goes_on_smoothly() -> None:
    clean = grey(photograph("camera"))[100:160, 100:180]
    text = np.full(clean.shape[:2], 0.1)
    text[20:24, 30:40] = 0.5
    spotted = clean.copy()
    spotted[20:24, 30:40] = 1 - spotted[20:24, 30:40].round()
    assert (
        psnr(clean, text_inpainting.inpaint(clean, text)) > 30
    )  # hardly any text: hardly any change
    assert psnr(clean, text_inpainting.inpaint(spotted, text)) > psnr(clean, spotted) + 3
