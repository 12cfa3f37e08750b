"""Shipped weights: they load, have cards, and name no private folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers import publish_weights
from minidl import checkpoint
from minidl.models import zoo
from minidl.models.context_encoder import Inpainter, Settings
from minidl.models.images.samples import grey, photograph
from minidl.models.ssda import RECIPES, SSDA, Coding, Noise, Restorer, training

SHIPPED = sorted(zoo.FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_weights_load_and_have_a_card(path: Path) -> None:
    groups, about = checkpoint.load(path)
    arrays = [array for named in groups.values() for array in named.values()]
    assert {array.dtype for array in arrays} == {np.dtype(np.float16)}
    assert all(np.isfinite(array).all() for array in arrays)
    model = Restorer.load(path) if about["model"] == "ssda" else Inpainter.load(path)
    assert model.about().items() <= about.items()
    card = path.with_suffix(".md").read_text()
    assert f"# {path.stem}\n" in card
    for word in ("Trained on", f"seed {about['config']['seed']}", "minidl train", "PSNR"):
        assert word in card
    assert "/" not in about["config"]["data"]


def test_all_weights_together_are_small() -> None:
    assert SHIPPED and sum(path.stat().st_size for path in SHIPPED) < 40e6


def test_weights_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(zoo.NoWeightsError, match="nothing: the package has no weights of this"):
        zoo.by_name("nothing")
    with pytest.raises(zoo.NoWeightsError, match=f"nothing: no such file; .*{SHIPPED[0].stem}"):
        zoo.resolve("nothing")
    assert zoo.by_name(SHIPPED[0].stem) == zoo.resolve(SHIPPED[0].stem) == SHIPPED[0]
    monkeypatch.chdir(tmp_path)
    assert zoo.resolve("nothing.st") == Path("nothing.st")
    Path("nothing").touch()
    assert zoo.resolve("nothing") == Path("nothing")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    for find, what in (
        (zoo.inpainter, "holes"),
        (zoo.text_remover, "text"),
        (zoo.denoisers, "noise"),
    ):
        with pytest.raises(zoo.NoWeightsError, match=f"no weights for {what}; give --weights FILE"):
            find()


def test_a_filler_of_the_kind_and_whole_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(kind: str, **about: dict[str, str]) -> str:
        found = {Path(name): values for name, values in about.items()}
        monkeypatch.setattr(zoo, "entries", lambda model: found)
        return str(zoo.inpainter(kind))

    centre, part = {"mask": "centre"}, {"mask": "centre", "rest": "b"}
    region = {"mask": "region"}
    assert chosen("centre", a=region, b=part, c=centre) == "c"
    assert chosen("region", a=centre, b=part, c=region) == "c"
    assert chosen("centre", a=region, b=part) == "b"
    assert chosen("block", a=part, b=region) == "b"


@pytest.mark.parametrize("sigma", [1, 25, 255])
def test_there_is_a_denoiser_for_every_level(sigma: float) -> None:
    assert isinstance(Restorer.load(zoo.denoiser(sigma)).damage, Noise)


def test_the_denoiser_of_a_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    network = SSDA(16, (4, 4), rng=np.random.default_rng(0))
    for level in (100, 15, 50):
        Restorer(network, 4, Coding(), Noise(level)).save(tmp_path / f"n{level}.safetensors")
    assert [*zoo.denoisers()] == [15, 50, 100]
    levels = {5: 15, 15: 15, 30: 15, 45: 15, 46: 50, 50: 50, 90: 50, 91: 100, 255: 100}
    assert {sigma: int(zoo.denoiser(sigma).stem[1:]) for sigma in levels} == levels


def test_a_run_becomes_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "weights")
    with pytest.raises(zoo.NoWeightsError, match="--weights"):
        zoo.denoiser(25)
    images = [grey(photograph(name))[:60, :60, 0] for name in ("camera", "coins")]
    recipe = replace(RECIPES["working"], patch=6, hidden=(9, 7), batch=16)
    training.start(
        tmp_path / "run", images, damage=Noise(10), recipe=recipe, steps=9, seed=3,
        data="/home/someone/photos", quiet=True,
    )  # fmt: skip
    scores = {"data": "five", "damage": {"kind": "noise", "sigma": 10.0}, "psnr": {"a.png": 31.5}}
    (tmp_path / "bad.json").write_text("{}")
    for wrong in ([str(tmp_path / "nothing")], [str(tmp_path / "run"), "--scores", "bad.json"]):
        with pytest.raises(SystemExit):
            publish_weights.main([wrong[0], "small", "--data", "x", *wrong[1:]])
        assert not (tmp_path / "weights" / "small.safetensors").exists()
    (tmp_path / "scores.json").write_text(json.dumps(scores | {"mean": {"ours": 31.5}}))
    publish_weights.main(
        [str(tmp_path / "run"), "small", "--data", "two photographs"]
        + ["--scores", str(tmp_path / "scores.json")]
    )
    path = zoo.denoiser(25)
    assert path == tmp_path / "weights" / "small.safetensors"
    trained = Restorer.load(tmp_path / "run" / "model.safetensors").network.state()
    for name, array in Restorer.load(path).network.state().items():
        np.testing.assert_allclose(array, trained[name], atol=2e-3)
    card = path.with_suffix(".md").read_text()
    assert "--sigma 10 --patch 6 --hidden 9 --batch 16" in card and "--seed 3" in card
    assert "Trained on two photographs" in card and "31.50" in card
    assert b"someone" not in path.read_bytes() and "someone" not in card
    before = checkpoint.about(path)
    with pytest.raises(FileExistsError, match=r"small\.safetensors: exists already; name another"):
        publish_weights.publish(tmp_path / "run", "small", data="others", scores=[])
    path.unlink()
    with pytest.raises(FileExistsError, match=r"small\.md: exists already"):
        publish_weights.publish(tmp_path / "run", "small", data="others", scores=[])
    publish_weights.publish(
        tmp_path / "run", "small", data="two photographs", scores=[], force=True
    )
    assert checkpoint.about(path) == before


def test_weights_with_a_part_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen encoder is stored once, and a changed one is reported."""
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    rng = np.random.default_rng(0)
    inpainter, _ = Inpainter.new("compact", "centre", overlap=4, width=1 / 12, rng=rng)
    config = {
        "data": "x", "pictures": "1 picture, 0", "steps": 1, "seed": 0, "device": "cpu",
        "settings": Settings().as_dict() | {"adversarial": 0.0}, "begin": "/home/someone/a.st",
    }  # fmt: skip
    log = {"seconds": 1.0, "psnr": 15.0}

    def published(name: str, rest: str | None = None) -> Path:
        (tmp_path / name).mkdir()
        inpainter.save(tmp_path / name / "model.safetensors", config=config, log=log)
        return publish_weights.publish(tmp_path / name, name, data="x", scores=[], rest=rest)

    sharp = published("sharp")
    inpainter.generator.last.layers[-2].w.data += 1
    other = published("other", rest="sharp")
    assert sharp.stat().st_size > 3 * other.stat().st_size
    assert zoo.inpainter("centre") == sharp == zoo.resolve("sharp")
    assert zoo.resolve("elsewhere/x.safetensors") == Path("elsewhere/x.safetensors")
    with pytest.raises(zoo.NoWeightsError, match=r"blunt: no such file; .* other, sharp"):
        zoo.resolve("blunt")
    assert checkpoint.about(sharp)["config"]["begin"] == "a.st"
    assert "that of sharp.safetensors" in other.with_suffix(".md").read_text()
    expected, both = (
        inpainter.generator.state(),
        Inpainter.load(zoo.resolve("other")).generator.state(),
    )
    assert expected.keys() == both.keys()
    for name, array in both.items():
        np.testing.assert_array_equal(array, expected[name].astype(np.float16), err_msg=name)
    for array in inpainter.generator.state().values():
        array += 1
    with pytest.raises(ValueError, match="nothing in common with sharp"):
        published("none", rest="sharp")
    published("sharp-again")
    shutil.move(zoo.resolve("sharp-again"), sharp)
    with pytest.raises(checkpoint.CheckpointError, match="expected that file, unchanged"):
        Inpainter.load(other)
    sharp.unlink()
    with pytest.raises(
        checkpoint.CheckpointError, match="the rest of its parameters are those of sharp"
    ):
        Inpainter.load(other)
