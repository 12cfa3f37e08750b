"""Paper 2's page: its table, figures, features, short trainings, and omitted pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.papers.__main__ import main
from benchmarks.papers.context_encoder import ablation
from benchmarks.papers.context_encoder import features as labels
from benchmarks.papers.context_encoder import sections as paper_2
from benchmarks.papers.context_encoder.features import accuracy
from benchmarks.papers.context_encoder.figures import gradient_energy
from benchmarks.papers.context_encoder.neighbours import FEATURES, hog_features, nearest
from benchmarks.papers.context_encoder.plan import Photographs, Plan
from benchmarks.papers.context_encoder.table1 import ADVERSARIAL, PLAIN, QUOTED, REGION
from benchmarks.papers.report.cache import ResultCache
from minidl.models import zoo
from minidl.models.context_encoder import Inpainter
from minidl.models.context_encoder.masks import Holes
from minidl.models.context_encoder.scores import METHODS
from minidl.models.images.files import read, write
from minidl.models.images.samples import photograph

NAMES = ("chelsea", "coffee", "astronaut", "rocket")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make test/ and train/ with corners of two kinds of photographs, weights/ with tiny nets."""
    root = tmp_path_factory.mktemp("photographs")
    for folder in ("test", "train", "weights"):
        (root / folder).mkdir()
    for i, name in enumerate(NAMES * 3):
        pixels = photograph(name)[7 * i : 7 * i + 140, 5 * i : 5 * i + 140]
        kind = "round" if i % 2 else "square"
        write(root / ("test" if i < 4 else "train") / f"{kind}_{i}.png", pixels)
    for stem, mask in {ADVERSARIAL: "centre", PLAIN: "centre", REGION: "region"}.items():
        overlap = 4 if mask == "centre" else 0
        rng = np.random.default_rng(len(stem))
        inpainter, _ = Inpainter.new("compact", mask, overlap=overlap, rng=rng, width=1 / 12)
        inpainter.save(root / "weights" / f"{stem}.safetensors")
    return root


@pytest.fixture
def plan(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(zoo, "FOLDER", folders / "weights")
    return Plan(data=folders / "test", train=folders / "train", quick=True)


def test_the_whole_page(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Make every section, and run again without computing anything again."""
    monkeypatch.setattr(ablation, "steps", lambda _: 2)
    small = {
        name: replace(variant, settings=replace(variant.settings, width=1 / 12))
        for name, variant in ablation.VARIANTS.items()
    }
    monkeypatch.setattr(ablation, "VARIANTS", small)
    monkeypatch.setattr(labels, "PLAIN", replace(labels.PLAIN, width=1 / 12, batch=2))
    monkeypatch.setitem(METHODS, "biharmonic", METHODS["mean colour"])  # takes seconds
    command = ["context-encoder", "--data", str(plan.data), "--train", str(plan.train)]
    command += ["--out", str(tmp_path), "--quick", "--device", "cpu", "--json"]
    assert main(command) == 0
    written = json.loads(capsys.readouterr().out)
    page = Path(written["md"]).read_text()
    for title in paper_2.SECTIONS:
        assert f"## {title}" in page
    for name in (*QUOTED, "nearest neighbour, HOG", "ours, reconstruction only"):
        assert name in page
    assert ("random weights" in page) == (find_spec("sklearn") is not None)
    lost = [line for line in page.splitlines() if line.startswith("Left out")]
    assert all("OpenCV" in line or "scikit-learn" in line for line in lost), lost
    for picture in ("rows-centre", "rows-block", "rows-region", "methods", "neighbours-HOG"):
        assert (tmp_path / "pictures" / f"{picture}.png").is_file()
    assert "data:image/png;base64" in Path(written["html"]).read_text()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()}
    assert len(before) > 8
    assert main(command) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()} == before

    assert main([*command, "--publishable"]) == 0
    passed_on, html = Path(written["md"]).read_text(), Path(written["html"]).read_text()
    left_out = "Left out: pictures of the photographs given, which are not ours to pass on."
    assert passed_on.count(left_out) == 2 and "pictures/ablation" not in passed_on
    assert html.count("data:image/png") == 4  # three kinds of holes, and all methods
    assert read(tmp_path / "pictures" / "rows-centre.png").pixels.shape[1] == 5 * 132 - 4


def test_what_is_not_there_is_left_out_by_name(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "none")
    page = paper_2.build(Plan(data=folders / "test", quick=True), ResultCache(tmp_path, quiet=True))
    text = page.markdown(tmp_path)
    assert "mean colour" in text
    assert "fill-centre-128: the package has no weights of this name" in text
    assert "it needs --train with a folder of photographs" in text
    assert main(["context-encoder", "--data", "none", "--out", str(tmp_path)]) == 2
    assert "none: there is no such folder" in capsys.readouterr().err


def test_neighbours_are_those_that_look_alike(plan: Plan, tmp_path: Path):
    """Whatever lies under the hole, a picture's nearest neighbour is itself."""
    known = plan.training
    covered = known.pixels.copy()
    covered[:, 36:92, 36:92] = 255 - covered[:, 36:92, 36:92]
    changed = Photographs(known.names, covered)
    for name, describe in FEATURES.items():
        keys, queries = describe(plan, known), describe(plan, changed)
        np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, rtol=1e-5)
        assert (np.argmax(queries @ keys.T, axis=1) == np.arange(len(known))).all(), name
    assert hog_features(plan, known).shape == (len(known), 48 * 9)  # 8 x 8 cells less 4 x 4
    found = nearest(plan, ResultCache(tmp_path, quiet=True), "HOG")
    assert set(found) == set(plan.test.names)


def test_gradient_energy():
    masks, _ = Holes("centre", 128, 64, 4).draw(1, np.random.default_rng(0))
    rows, columns = np.mgrid[:128, :128]
    slope = np.repeat((0.01 * columns + 0.02 * rows)[None, ..., None], 3, axis=3)
    assert gradient_energy(slope, masks) == pytest.approx((0.01**2 + 0.02**2) / 2)
    edge = np.where(masks[..., None], 0.5, np.zeros((1, 128, 128, 3)))
    assert gradient_energy(edge, masks) == 0  # the step at the hole's border is not texture


def test_a_linear_classifier_learns_what_is_linear():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 20)).astype(np.float32)
    y = np.where(x[:, 3] > 0, "up", "down")
    assert accuracy(x[:200], y[:200], x[200:], y[200:]) > 90


def test_variants_differ_from_the_base_in_one_thing():
    def parts(variant: ablation.Variant) -> dict[str, Any]:
        others = {"trainer": variant.trainer, "architecture": variant.architecture.name}
        return variant.settings.as_dict() | others

    base = parts(ablation.VARIANTS["base"])
    for name, variant in ablation.VARIANTS.items():
        own = parts(variant)
        assert len([k for k in base if base[k] != own[k]]) == (name != "base"), name
