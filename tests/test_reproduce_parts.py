"""The parts of a reproduction: cached results, data, quoted numbers, and K-SVD."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers.baselines import ksvd, ksvd_inpainting
from benchmarks.papers.data import MissingError
from benchmarks.papers.report.cache import ResultCache
from benchmarks.papers.report.page import Row, Section, Text
from benchmarks.papers.ssda import ablation, filters_and_ablation, one_change_at_a_time
from benchmarks.papers.ssda.plan import Plan
from benchmarks.papers.ssda.quoted import mean_std, noise_rows
from minidl.models.images.corruptions import gaussian_noise
from minidl.models.images.files import write
from minidl.models.images.scores import psnr


def piecewise(rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """Return flat areas with straight edges, (side, side, 1) in [0, 1]."""
    y, x = np.mgrid[:side, :side]
    levels = np.full((side, side), 0.5)
    for _ in range(6):
        a, b = rng.normal(size=2)
        levels += rng.normal(0, 0.15) * (a * (x - side / 2) + b * (y - side / 2) > 0)
    return np.clip(levels, 0, 1).astype(np.float32)[..., None]


# --- parts ---------------------------------------------------------------------------------------


def test_finished_items_are_reused(tmp_path: Path) -> None:
    asked: list[int] = []

    def work(x: int) -> int:
        asked.append(x)
        return x * x

    cache = ResultCache(tmp_path, quiet=True)
    assert cache.get_each("p", {"s": (1,)}, {"a": 2}, work) == {"a": 4}
    assert cache.get_each("p", {"s": (1,)}, {"a": 2, "b": 3}, work) == {"a": 4, "b": 9}
    assert asked == [2, 3]
    took = [item["seconds"] for item in json.loads(cache.path("p").read_text())["items"].values()]
    assert cache.seconds == sum(took)  # though it was asked for twice
    cache.get_each("p", {"s": (2,)}, {"a": 2}, work)  # other settings
    for damaged in ('{"settings": {"s": [2]}, "items": {"a": 5}}', "{not JSON"):
        cache.path("p").write_text(damaged)
        cache.get_each("p", {"s": (2,)}, {"a": 2}, work)
    assert asked == [2, 3, 2, 2, 2]


def test_a_part_is_made_again_without_its_pictures(tmp_path: Path) -> None:
    cache, made = ResultCache(tmp_path, quiet=True), []

    def draw() -> dict[str, list[str]]:
        made.append(1)
        (cache.pictures / "x.png").write_bytes(b"")
        return {"pictures": ["x.png"]}

    for expected in (1, 1):
        cache.get_one("p", {}, draw)
        assert len(made) == expected
    (cache.pictures / "x.png").unlink()
    cache.get_one("p", {}, draw)
    assert len(made) == 2


def test_what_was_finished_survives_a_stop(tmp_path: Path) -> None:
    def work(x: int) -> int:
        if x == 2:
            raise KeyboardInterrupt
        return x

    cache = ResultCache(tmp_path, quiet=True)
    with pytest.raises(KeyboardInterrupt):
        cache.get_each("p", {}, {"a": 1, "b": 2}, work)
    assert list(json.loads(cache.path("p").read_text())["items"]) == ["a"]
    assert [path.name for path in cache.path("p").parent.iterdir()] == ["p.json"]


# --- numbers -----------------------------------------------------------------------------------


def test_quoted_numbers() -> None:
    assert mean_std([1.0, 3.0]) == "2.00 ± 1.41" and mean_std([1.0]) == "1.00"
    assert noise_rows("paper")["BM3D (Burger et al. 2012)"][0] == "30.69 ± 0.96"


# --- K-SVD ---------------------------------------------------------------------------------------


def test_pursuit_is_scikit_learns(rng: np.random.Generator) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    d = rng.normal(size=(40, 16))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    x = rng.normal(size=(30, 16))
    tolerance = 1.5
    atoms, g = ksvd.pursue(x, d, tolerance)
    theirs = linear_model.orthogonal_mp_gram(
        d @ d.T, d @ x.T, tol=tolerance, norms_squared=(x * x).sum(axis=1)
    ).T
    ours = np.zeros_like(theirs)
    for i, k in zip(*np.nonzero(atoms >= 0), strict=True):
        ours[i, atoms[i, k]] = g[i, k]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    left = ((x - ksvd.combine(atoms, g, d)) ** 2).sum(axis=1)
    assert (left <= tolerance).all() and (atoms[:, 1:] >= 0).any()


def test_pursuit_stops(rng: np.random.Generator) -> None:
    d = ksvd.cosines()
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1)
    atoms, g = ksvd.pursue(np.stack([np.zeros(64), 3 * d[7], rng.normal(size=64)]), d, 1e-9, 5)
    assert (atoms[0] == -1).all() and (g[0] == 0).all()
    assert atoms[1].tolist() == [7, -1, -1, -1, -1] and g[1, 0] == pytest.approx(3)
    assert len(set(atoms[2])) == 5


@pytest.mark.parametrize("stride", [1, 3])
def test_ksvd_denoises(rng: np.random.Generator, stride: int) -> None:
    clean = piecewise(rng)
    noisy = gaussian_noise(clean, 25, rng)
    repaired = ksvd.denoise(noisy, 25, stride=stride, rounds=3)
    assert repaired.shape == clean.shape and repaired.dtype == np.float32
    assert psnr(clean, repaired) > psnr(clean, noisy) + 3


def test_ksvd_inpaints_what_the_mask_hides(rng: np.random.Generator) -> None:
    clean = piecewise(rng)
    mask = np.zeros(clean.shape[:2], bool)
    mask[::9] = mask[:, 20:60:11] = True
    damaged = np.where(mask[..., None], 1, clean).astype(np.float32)
    filled = ksvd_inpainting.inpaint(damaged, mask)
    assert filled.shape == clean.shape and filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~mask], clean[~mask])
    assert psnr(clean, filled, mask) > psnr(clean, damaged, mask) + 10
    everything = ksvd_inpainting.inpaint(damaged, np.ones_like(mask))
    assert np.isfinite(everything).all()


def test_known_pixels_are_met(rng: np.random.Generator) -> None:
    d = ksvd.cosines()
    x = 2 * d[[3, 50]] - d[[17, 90]]
    known = rng.random(x.shape) < 0.7
    found = ksvd_inpainting.meet(np.where(known, x, 99), known, d, 1e-12)
    np.testing.assert_allclose(found[known], x[known], atol=1e-4)


# --- the ablation -----------------------------------------------------------------------------


def test_the_ablation_tells_what_the_paper_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = dict(zip(ablation.RECIPES, (20.0, 22.0, 27.0, 27.5, 29.0, 29.5), strict=True))
    monkeypatch.setattr(ablation, "curve", lambda *_, name, **__: [(0.5, 15.0), (2.0, ends[name])])
    monkeypatch.setattr(one_change_at_a_time, "costs", lambda *_: [])
    write(tmp_path / "a.png", np.zeros((4, 4, 1), np.float32))
    plan, cache = Plan(tmp_path, train=tmp_path), ResultCache(tmp_path / "out", quiet=True)
    blocks = filters_and_ablation.ablated(plan, cache)
    (table,) = Section("a", blocks).tables
    assert table.rows[-1] == Row("working recipe", ["2.0", "29.50"], best=[1])
    said = " ".join(
        b.words for b in filters_and_ablation.left_out(plan, cache) if isinstance(b, Text)
    )
    assert "ended at 20.00 dB" in said and "+2.50 dB" in said and "recipe had 15.00 dB" in said
    with pytest.raises(MissingError, match="--train"):
        filters_and_ablation.ablated(Plan(tmp_path), cache)


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ssda.html").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other files; name another --out, or give"):
        ResultCache(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ssda.html"]
    ResultCache(tmp_path, force=True)
    ResultCache(tmp_path)  # its own by now
    ResultCache(tmp_path / "new")
