"""Training context encoders: turns, batches, exact resume, whole runs and their scores."""

from __future__ import annotations

import copy
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint
from minidl.device import CPU
from minidl.models.cli import context_encoder, main
from minidl.models.context_encoder import (
    REPORT,
    Holes,
    Inpainter,
    Settings,
    Trainer,
    data,
    scores,
    trainer,
    training,
)
from minidl.models.context_encoder.data import Batches, Photographs, split, with_holes
from minidl.models.context_encoder.masks import MEAN_COLOUR
from minidl.models.context_encoder.networks import ARCHITECTURES
from minidl.models.context_encoder.scores import hole_scores, picture_scores
from minidl.models.images.files import PictureError, write
from minidl.models.images.samples import NAMES, photograph
from minidl.models.signals import Stopped
from minidl.models.training.run_folder import Run, TrainingError

TINY = Settings(width=1 / 12, batch=4, warmup_share=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a corner of each photograph of the installed packages."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in NAMES:
        write(folder / f"{name}.png", photograph(name)[:200, :190])
    return folder


def new_trainer(folder: Path, settings: Settings, steps: int = 6, seed: int = 0) -> Trainer:
    size = ARCHITECTURES[settings.net].size
    photographs = Photographs(sorted(folder.iterdir()), size + 8)
    rng = np.random.default_rng(seed)
    return Trainer(settings, photographs, steps=steps, rng=rng, device=CPU)


def test_each_step_moves_its_own_player(folder: Path):
    """The discriminator moves by its own loss, then the generator by both losses."""
    t = new_trainer(folder, replace(TINY, adversarial=0.5))
    t.g_optimizer.lr = t.d_optimizer.lr = 1e-3
    t.discriminator.layers[0].w.data += 0.1  # something to learn from
    batch, moved = t.batches.next(), []
    for optimizer, player in ((t.d_optimizer, "D"), (t.g_optimizer, "G")):
        step = optimizer.step

        def noted(grads: list[np.ndarray], step=step, player=player) -> None:
            moved.append(player)
            step(grads)

        optimizer.step = noted  # type: ignore
    before = {name: p.data.copy() for name, p in t.discriminator.named_parameters()}
    measured = t.take_step(batch, 0.5)
    assert moved == ["D", "G"]
    assert all((p.data != before[n]).any() for n, p in t.discriminator.named_parameters())
    assert 0 <= measured.d_real <= 1 and 0 <= measured.d_fake <= 1


def test_without_an_adversary_the_discriminator_rests(folder: Path):
    t = new_trainer(folder, replace(TINY, adversarial=0.0), steps=3)
    before = {k: v.copy() for k, v in t.discriminator.state().items()}
    for _ in t.run():
        pass
    for name, array in t.discriminator.state().items():
        np.testing.assert_array_equal(array, before[name])
    means = t.mean_losses()
    assert np.isfinite(means.reconstruction) and np.isnan(means.d_loss)


def test_the_adversary_comes_in_late_and_nothing_before_it_differs(folder: Path):
    """Up to then the steps are those of a training without it, bit for bit."""
    late = new_trainer(folder, replace(TINY, warmup_share=2 / 3))
    never = new_trainer(folder, replace(TINY, adversarial=0.0))
    for a, b in zip(late.run(), never.run(), strict=True):
        pairs = zip(late.generator.parameters(), never.generator.parameters(), strict=True)
        assert a == b and all((p.data == q.data).all() for p, q in pairs) == (a <= 4)
    losses = [measured.adversarial for measured in late._synced_losses]
    assert np.isnan(losses).tolist() == [True] * 4 + [False] * 2
    assert late.mean_losses().adversarial == pytest.approx(np.mean(losses[4:]))
    assert np.isnan(late.mean_losses()).all()


def test_a_training_can_begin_with_a_model(folder: Path, tmp_path: Path):
    """A training takes both players of a model, and refuses a model of another kind."""
    first, path = new_trainer(folder, TINY, steps=2), tmp_path / "both.safetensors"
    for _ in first.run():
        pass
    groups, about = first.state()
    both = {name: groups[name] for name in ("generator", "discriminator")}
    checkpoint.save(path, both, about)
    second = new_trainer(folder, TINY, seed=9)
    second.load_networks(path)
    for name in both:
        for key, array in second.state()[0][name].items():
            np.testing.assert_array_equal(array, both[name][key])
    assert second.done == 0
    other = new_trainer(folder, replace(TINY, mask="region"))
    words = r"not networks to begin this training with \(its mask is centre, expected region\)"
    with pytest.raises(checkpoint.CheckpointError, match=words):
        other.load_networks(path)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_frozen_encoder_stays_and_the_rest_learns(folder: Path, tmp_path: Path, share: float):
    """The encoder stays bit for bit, with its batch norms' statistics, also after inference."""
    t = new_trainer(folder, replace(TINY, freeze_encoder=True, adversarial=share), steps=4)
    before = {name: array.copy() for name, array in t.generator.state().items()}
    for step in t.run():
        if step == 2:
            t.inpainter.generate(t.batches.next().context)
    after = t.generator.state()
    for name, array in before.items():
        frozen = name.startswith(("downs", "mixing"))
        assert (array == after[name]).all() == frozen, name


def test_only_an_encoder_that_has_learned_can_be_frozen(folder: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="net 'report' has no encoder"):
        new_trainer(folder, replace(REPORT, width=1 / 32, freeze_encoder=True))
    with pytest.raises(TrainingError, match="expected --begin FILE"):
        training.start(tmp_path / "run", folder, replace(TINY, freeze_encoder=True), steps=1)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_no_number_stops_the_run(folder: Path):
    t = new_trainer(folder, TINY, steps=40)
    t.generator.parameters()[0].data[:] = np.nan
    with pytest.raises(TrainingError, match="no longer a number, near step 20 of 40: lower"):
        for _ in t.run():
            pass


def test_mean_losses_are_of_all_steps_so_far(folder: Path):
    """Steps since the last look count too, so that no checkpoint is made of NaN."""
    t = new_trainer(folder, TINY, steps=3)
    steps = t.run()
    next(steps)
    assert np.isfinite(t.mean_losses().reconstruction)
    t._pending_losses.append(trainer.Losses(reconstruction=np.float32(np.nan)))
    with pytest.raises(TrainingError, match="no longer a number, near step 1 of 3"):
        t.mean_losses()


def test_rates_are_constant_then_fall(folder: Path):
    t = new_trainer(folder, replace(TINY, decay_share=1 / 3), steps=30)
    shares = []
    while t.done < 30:
        shares.append(t.rate_share())
        t.done += 1
    assert shares[:20] == [1.0] * 20 and shares[-1] == pytest.approx(0.1)
    assert (np.diff(shares[21:]) < 0).all()
    assert t.d_optimizer.lr == TINY.discriminator_rate
    assert REPORT.generator_rate == REPORT.discriminator_rate == 2e-4
    assert TINY.generator_rate == 10 * TINY.discriminator_rate


@pytest.mark.slow  # a minute and a half
def test_a_small_batch_is_over_fitted(folder: Path):
    """Memorise sixteen pictures: above 30 dB over the hole."""
    photographs = Photographs(2 * sorted(folder.iterdir())[:8], 136)
    rng = np.random.default_rng(0)
    settings = Settings(width=0.75, generator_rate=4e-3, adversarial=0.0)
    t = Trainer(settings, photographs, steps=400, rng=rng, device=CPU)
    holes = t.inpainter.holes
    crops = [photographs[i][4 * (i // 8) :][:128, :128] for i in range(16)]
    pixels = np.stack([c[:, ::-1] if i < 8 else c for i, c in enumerate(crops)])
    masks, corners = holes.draw(16, rng)
    batch = with_holes(pixels, masks, corners, holes)
    while t.done < t.total:
        t.g_optimizer.lr = settings.generator_rate * t.rate_share()
        t.take_step(batch, 0.0)
        t.done += 1
    filled = t.inpainter.inpaint_batch(pixels, masks, corners)
    assert hole_scores(pixels / np.float32(255), filled, masks)["psnr"] > 30


# --- data -----------------------------------------------------------------------------------------


def test_batches_are_the_same_for_the_same_seed_and_go_on(folder: Path):
    photographs, holes = Photographs(sorted(folder.iterdir()), 136), Holes("random", 128, 64, 4)
    first, second = (Batches(photographs, holes, 5, np.random.default_rng(3)) for _ in range(2))
    a = [first.next() for _ in range(4)]
    b = [second.next() for _ in range(2)]
    third = Batches(photographs, holes, 5, np.random.default_rng(9))
    third.resume_at(second.state)
    for one, other in zip(a, [*b, third.next(), third.next()], strict=True):
        np.testing.assert_array_equal(one.context, other.context)
        np.testing.assert_array_equal(one.target, other.target)
    assert (a[0].context != a[1].context).any()


def test_a_batch_hides_the_hole_and_shows_the_overlap():
    rng = np.random.default_rng(0)
    holes = Holes("random", 128, 64, 4)
    pixels = rng.integers(0, 256, (3, 128, 128, 3)).astype(np.uint8)
    masks, corners = holes.draw(3, rng)
    batch = with_holes(pixels, masks, corners, holes)
    scaled = pixels / 127.5 - 1
    np.testing.assert_allclose(batch.context[~masks], scaled[~masks], atol=1e-6)
    assert np.unique(batch.context[masks], axis=0).shape == (1, 3)
    for i, (top, left) in enumerate(corners):
        expected = scaled[i, top : top + 64, left : left + 64]
        np.testing.assert_allclose(batch.target[i], expected, atol=1e-6)
    assert batch.context.dtype == batch.target.dtype == batch.weight.dtype == np.float32


def test_pictures_of_any_kind_become_squares(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "a.png", np.linspace(0, 1, 40 * 90).reshape(40, 90, 1).astype(np.float32))
    write(tmp_path / "b.jpg", photograph("coffee"))
    (tmp_path / "0.png").write_bytes(b"garbage")
    (tmp_path / "c.png").write_bytes(b"garbage")
    photographs = Photographs(sorted(tmp_path.iterdir()), 32)
    assert len(photographs) == 2 and photographs[0].shape == (32, 32, 3)
    assert "passed over" in capsys.readouterr().err
    with pytest.raises(PictureError, match="none of the pictures can be read"):
        Photographs([tmp_path / "c.png"], 32)


def test_one_that_cannot_be_read_late_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """This holds for too many photographs to be decoded beforehand, too."""
    monkeypatch.setattr(data, "MAX_KEPT_BYTES", 1)
    for name, level in (("a", 0.2), ("c", 0.8)):
        write(tmp_path / f"{name}.png", np.full((40, 40, 3), level, np.float32))
    (tmp_path / "b.png").write_bytes(b"garbage")
    photographs = Photographs(sorted(tmp_path.iterdir()), 32)
    assert photographs.pixels is None
    for i, level in ((0, 51), (1, 204), (1, 204), (2, 204)):
        assert (photographs[i] == level).all()
    assert capsys.readouterr().err.count("passed over") == 1
    with pytest.raises(PictureError, match="none of the pictures can be read"):
        Photographs([tmp_path / "b.png"], 32)[0]


def test_a_batch_goes_to_a_device_whole(as_if_on_gpu: Any):
    sent = [np.full((1, 2, 2, n), n, np.float32) for n in (3, 2, 1)]
    there = data.Batch(*sent).to(SimpleNamespace(put=as_if_on_gpu))  # type: ignore[arg-type]
    for array, found in zip(sent, (there.context, there.target, there.weight), strict=True):
        assert type(found).__module__ == "cupy" and found.shape == array.shape


def test_a_fingerprint_is_of_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run resumes only with photographs of its first fingerprint."""
    for name, level in (("a", 0.2), ("b", 0.8)):
        write(tmp_path / f"{name}.png", np.full((4, 4, 3), level, np.float32))
    paths = sorted(tmp_path.iterdir())
    assert Photographs(paths, 4).fingerprint() == "2 pictures, 46f28f29"
    monkeypatch.setattr(data, "MAX_KEPT_BYTES", 95)
    assert Photographs(paths, 4).fingerprint() == "2 pictures, ae47cd84"
    monkeypatch.setattr(data, "MAX_KEPT_BYTES", 96)
    assert Photographs(paths, 4).pixels is not None


def test_validation_has_the_same_holes_each_time(folder: Path):
    inpainter = new_trainer(folder, replace(TINY, mask="random")).inpainter
    photographs, holes = Photographs(sorted(folder.iterdir()), 128), inpainter.holes
    validation = training.Validation.of(photographs, holes)
    masks, corners = holes.draw(len(photographs), np.random.default_rng(0))
    np.testing.assert_array_equal(validation.masks, masks)
    np.testing.assert_array_equal(validation.corners, corners)
    sheet = validation.samples(inpainter)
    assert sheet.shape == (3 * 132 - 4, 6 * 132 - 4, 3)
    chosen = np.linspace(0, len(photographs) - 1, 6).astype(int)
    for c, i in enumerate(chosen):
        clean, damaged, filled = (
            sheet[132 * r : 132 * r + 128, 132 * c : 132 * c + 128] for r in range(3)
        )
        np.testing.assert_array_equal(clean, photographs[i] / np.float32(255))
        np.testing.assert_array_equal(damaged[~masks[i]], clean[~masks[i]])
        assert (damaged[masks[i]] == MEAN_COLOUR).all()
        np.testing.assert_array_equal(filled[~masks[i]], clean[~masks[i]])
        assert (filled[masks[i]] != damaged[masks[i]]).any()
    assert (sheet[128:132] == 1).all() and (sheet[:, 128:132] == 1).all()


def test_a_run_goes_on_with_its_own_pictures_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training.Training, "draw", lambda *_: None)
    place, small = tmp_path / "data", replace(TINY, batch=1, adversarial=0.0)
    shutil.copytree(folder, place)
    training.start(tmp_path / "run", place, small, steps=1, quiet=True)
    shutil.copy(place / "coffee.png", place / "camera.png")
    words = f"run: the pictures of {place} have changed since the run began"
    with pytest.raises(TrainingError, match=words):
        training.resume(tmp_path / "run", quiet=True)


def test_a_split_holds_pictures_out(folder: Path, tmp_path: Path):
    training, held_out = split(folder)
    assert len(held_out) == 1 and not set(training) & set(held_out)
    assert len(training) + len(held_out) == len(NAMES)


# --- runs and the command line --------------------------------------------------------------------

SMALL = ("--batch", "2", "--seed", "1", "--device", "cpu", "--json")


def test_a_run_and_its_evaluation(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, folder = tmp_path / "run", shutil.copytree(folder, tmp_path / "photographs")
    train = ["train", "context-encoder"]
    assert main([*train, "--data", str(folder), "--out", str(out), "--steps", "3", *SMALL]) == 0
    header, *lines = (out / "log.csv").read_text().splitlines()
    for name, text in zip(header.split(","), lines[-1].split(","), strict=True):
        digits = 3 if name in ("l1", "l2", "psnr") else 5
        assert text == "nan" or name == "rate" or float(text) == round(float(text), digits)
    names = {p.name for p in out.iterdir()}
    pictures = {"curves.png", "samples.png"}
    assert names == pictures | {
        "config.json", "log.csv", "checkpoint.safetensors", "model.safetensors"
    }  # fmt: skip
    capsys.readouterr()
    for arguments, message in (
        ([*train, "--data", str(folder), "--out", str(out)], "holds a run already"),
        ([*train, "--resume", str(out), "--batch", "3"], "drop --batch"),
        ([*train, "--resume", str(out), "--freeze-encoder"], "drop --freeze-encoder"),
        ([*train, "--out", str(tmp_path / "new")], "--data is missing"),
        ([*train, "--data", str(tmp_path / "none"), "--out", str(out) + "2"], "no such file"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert main([*train, "--resume", str(out), "--json"]) == 0  # the run has ended
    folder = folder.rename(tmp_path / "moved")
    assert main([*train, "--resume", str(out), "--json"]) == 2
    assert main([*train, "--resume", str(out), "--data", str(folder), "--json"]) == 0
    grid, weights = str(tmp_path / "grid.png"), str(out / "model.safetensors")
    begun = [*train, "--data", str(folder), "--out", f"{out}-2", "--begin", weights]
    assert main([*begun, "--steps", "1", *SMALL, "--lr", "1e-9"]) == 0
    first, second = (Inpainter.load(f"{out}{end}/model.safetensors") for end in ("", "-2"))
    for one, other in zip(first.generator.parameters(), second.generator.parameters(), strict=True):
        np.testing.assert_allclose(other.data, one.data, atol=1e-6)
    for run, share in ((out, 2 / 3), (Path(f"{out}-2"), 0)):
        config = json.loads((run / "config.json").read_text())
        assert config["settings"]["warmup_share"] == share
    arguments = ["--data", str(folder), "--weights", weights, "--limit", "4", "--grid", grid]
    assert main(["evaluate", "context-encoder", *arguments[:-1], "grid.xyz"]) == 2
    assert "cannot write '.xyz' files" in capsys.readouterr().err
    assert main(["evaluate", "context-encoder", *arguments, "--json", "--device", "cpu"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert set(scores) == {"context encoder", "mean colour"}
    assert scores["context encoder"]["pictures"] == 4
    assert scores["mean colour"]["whole"] > scores["mean colour"]["psnr"] + 5
    assert Path(grid).exists()


def test_photographs_to_hold_out_that_cannot_be_read(tmp_path: Path):
    for name in "ab":
        write(tmp_path / f"{name}.png", photograph("coffee"))
    (tmp_path / "c.png").write_bytes(b"garbage")  # the last one is held out
    out = tmp_path / "run"
    train = ["train", "context-encoder", "--data", str(tmp_path), "--out", str(out)]
    assert main([*train, "--steps", "1", *SMALL]) == 0


def test_a_folder_of_which_nothing_can_be_read(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"garbage")
    words = f"{tmp_path}: none of the pictures can be read"
    with pytest.raises(PictureError, match=words):
        training.start(tmp_path / "run", tmp_path, TINY, steps=1)
    assert not (tmp_path / "run").exists()


def test_a_filler_is_evaluated(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Unreadable files are reported and skipped; slow methods get only a part of the pictures."""
    place, weights = tmp_path / "data", str(tmp_path / "m.safetensors")
    place.mkdir()
    (place / "0.png").write_bytes(b"garbage")
    new_trainer(folder, TINY).inpainter.save(weights)
    line = ["evaluate", "context-encoder", "--data", str(place), "--weights", weights]
    assert main(line) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("data/0.png: is not a picture; expected one of PNG, JPEG, TIFF, WEBP, "
                            "BMP, GIF, PPM")  # fmt: skip
    assert said[1].endswith("data: none of its pictures can be read") and len(said) == 2
    monkeypatch.setattr(
        context_encoder,
        "METHODS",
        {"mean colour": scores.mean_colour, "membrane": scores.membrane,
         "biharmonic": lambda x, mask: x},
    )  # fmt: skip
    monkeypatch.setattr(context_encoder, "MAX_PICTURES", {"biharmonic": 2})
    for name in ("a", "b", "c"):
        shutil.copy(folder / "coffee.png", place / f"{name}.png")
    grid = tmp_path / "grid.png"
    written: list[Any] = []
    monkeypatch.setattr(context_encoder, "write", lambda *given: written.append(given))
    more = ["--baselines", "--grid", str(grid), "--json", "--mirror", "--device", "cpu"]
    assert main([*line, *more]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["data", "hole", "scores", "mirror", "seconds"]
    assert (answer["data"], answer["mirror"]) == ("data", True)
    assert answer["hole"] == "centre, 56x56 pixels" and answer["seconds"] > 0
    counts = {method: row["pictures"] for method, row in answer["scores"].items()}
    assert counts == {"context encoder": 3, "mean colour": 3, "membrane": 3, "biharmonic": 1}
    found = answer["scores"]
    assert found["biharmonic"]["l1"] == 0 and found["biharmonic"]["ssim"] == pytest.approx(1)
    assert found["membrane"]["psnr"] > found["mean colour"]["psnr"]
    ((path, sheet),) = written
    assert path == str(grid) and sheet.shape == (3 * 132 - 4, 3 * 132 - 4, 3)
    np.testing.assert_array_equal(
        sheet[:128, :128], data.read_square(folder / "coffee.png", 128) / np.float32(255)
    )
    (place / "0.png").unlink()
    assert main([*line, "--device", "cpu"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "pictures of 128x128, hole: centre, 56x56 pixels" and len(table) == 4
    assert [row.split("  ")[0] for row in table[2:]] == ["context encoder", "mean colour"]
    assert len(written) == 1


def test_scores_in_the_papers_units():
    clean, filled = np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3))
    masks = np.zeros((2, 4, 4), bool)
    masks[:, :2] = True
    filled[0, :2], filled[1, :2], filled[:, 2:] = 0.1, 0.3, 0.9
    scores = hole_scores(clean, filled, masks)
    assert scores["l1"] == pytest.approx(20) and scores["l2"] == pytest.approx(5)
    assert scores["psnr"] == pytest.approx((20 - 20 * np.log10(0.3)) / 2)
    one = picture_scores(clean[0], filled[0], masks[0])
    assert one["psnr"] == pytest.approx(20) and one["whole"] < 20


# --- exact resume ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        TINY,
        replace(TINY, mask="region"),
        replace(TINY, adversarial=0.0, mask="random"),
        replace(TINY, freeze_encoder=True),
        replace(REPORT, width=1 / 32, batch=2),
    ],
    ids=lambda s: f"{s.net}, {s.mask}",
)
def test_resume_is_exact(folder: Path, tmp_path: Path, settings: Settings):
    whole = new_trainer(folder, settings)
    for _ in whole.run():
        pass
    first = new_trainer(folder, settings)
    for step in first.run():
        if step == 3:
            break
    checkpoint.save(tmp_path / "c.safetensors", *first.state())
    second = new_trainer(folder, settings, seed=7)
    second.load_state(*checkpoint.load(tmp_path / "c.safetensors"))
    for _ in second.run():
        pass
    assert second.done == whole.done == 6
    (a, about_a), (b, about_b) = whole.state(), second.state()
    for group, arrays in a.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, b[group][name], err_msg=f"{group} {name}")
    assert about_a == about_b


def test_a_run_that_was_stopped_goes_on_with_its_seconds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: None
):
    take = Trainer.take_step

    def interrupted(t: Trainer, *given: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return take(t, *given)

    monkeypatch.setattr(training.Training, "draw", lambda *_: None)
    monkeypatch.setattr(Trainer, "take_step", interrupted)
    small = replace(TINY, batch=1, adversarial=0.0)
    with pytest.raises(Stopped):
        training.start(tmp_path / "run", folder, small, steps=2, quiet=True)
    monkeypatch.undo()
    log = tmp_path / "run/log.csv"
    names, row = log.read_text().splitlines()
    step, _, *cells = row.split(",")
    assert step == "1"
    beyond = ",".join(["2", "5000.5", *cells])  # a row after the checkpoint
    log.write_text("\n".join([names, ",".join([step, "1000.5", *cells]), beyond]) + "\n")
    training.resume(tmp_path / "run", quiet=True)
    rows = Run.open(tmp_path / "run").rows
    assert [r["step"] for r in rows] == [1, 2] and 1000.5 <= rows[1]["seconds"] < 5000


# --- the contents of a batch ----------------------------------------------------------------------

SIDE = 136


def drawn(monkeypatch: pytest.MonkeyPatch, n: int = 3000) -> list[np.ndarray]:
    """Return (which, rows, columns, light) of n squares, not mirrored at the borders."""
    monkeypatch.setattr(data, "_mirrored", lambda places, last: places)
    batches = Batches(_Noise(4), Holes("centre", 128, 64, 4), n, np.random.default_rng(0))  # type: ignore[arg-type]
    taken: list[np.ndarray] = []
    monkeypatch.setattr(batches, "_make", lambda *drawn: taken.extend(drawn))
    batches._begin()
    batches._pool.shutdown(wait=True)
    return taken


class _Noise:
    """Photographs without files."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.side = SIDE
        self.pixels = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.pixels[i]


def test_squares_are_of_all_sizes_and_places(monkeypatch: pytest.MonkeyPatch):
    """Squares have 0.7 to 1 of a side, reach up to a tenth over borders, and half are mirrored."""
    which, rows, columns, light = drawn(monkeypatch)[:4]
    assert set(which) == {0, 1, 2, 3}
    flipped = columns[:, 0] > columns[:, -1]
    assert 0.45 < flipped.mean() < 0.55 and (rows[:, 0] < rows[:, -1]).all()
    columns = np.sort(columns, axis=1)
    for places in (rows, columns):
        lengths = (places[:, -1] - places[:, 0]) * 128 / 127
        assert 0.7 * SIDE <= lengths.min() < 0.71 * SIDE and 0.99 * SIDE < lengths.max() <= SIDE
        first, last = places[:, 0] + 0.5 - lengths / 256, places[:, -1] + 0.5 + lengths / 256
        assert first.min() + 1e-9 >= -0.1 * SIDE and first.min() < -0.09 * SIDE
        assert last.max() > 1.09 * SIDE and last.max() <= 1.1 * SIDE + 1e-9
        assert ((first + last) / 2).mean() == pytest.approx(SIDE / 2, abs=1)
    np.testing.assert_allclose(rows[:, -1] - rows[:, 0], columns[:, -1] - columns[:, 0])
    assert light.shape == (3000, 4)
    assert np.exp(-0.1) <= light[:, 0].min() < 0.91 and 1.1 < light[:, 0].max() <= np.exp(0.1)
    assert -0.05 <= light[:, 1:].min() < -0.049 and 0.049 < light[:, 1:].max() <= 0.05


def test_what_does_not_fit_into_memory_gives_the_same_batches(monkeypatch: pytest.MonkeyPatch):
    def batches() -> Batches:
        holes = Holes("random", 128, 64, 4)
        return Batches(_Noise(5), holes, 6, np.random.default_rng(0))  # type: ignore[arg-type]

    kept = batches()
    assert kept._kept is not None
    monkeypatch.setattr(CPU, "free_memory", lambda: 0)
    fetched = batches()
    assert fetched._kept is None
    for _ in range(2):
        one, other = kept.next(), fetched.next()
        for name in ("context", "target", "weight"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_places_beyond_the_border_are_mirrored_there():
    places = np.array([-13.6, -1.0, -0.25, 0.0, 7.5, 135.0, 135.25, 148.6])
    expected = [13.6, 1.0, 0.25, 0.0, 7.5, 135.0, 134.75, 121.4]
    np.testing.assert_allclose(data._mirrored(places, 135), expected)


def test_contrast_and_colours_leave_grey_where_it_is(monkeypatch: pytest.MonkeyPatch):
    """A square has one contrast factor around the middle grey, and small shifts of each colour."""
    photographs = _Noise(1)
    photographs.pixels[:] = [51, 153, 204]
    batches = Batches(photographs, Holes("random", 128, 64, 4), 1, np.random.default_rng(0))  # type: ignore[arg-type]
    which, places = np.zeros(1, np.int64), np.linspace(3, 130, 128)[None]
    light = np.array([[1.25, 0.0, 0.0625, -0.125]], np.float32)
    holes = batches.holes.draw_rectangles(1, np.random.default_rng(0))
    batch = batches._make(which, places, places, light, *holes)
    clean = np.array([51, 153, 204]) / 255
    expected = 0.5 + 1.25 * (clean - 0.5) + [0.0, 0.0625, -0.125]
    found = (batch.target + 1) / 2
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)


def test_at_most_so_many_photographs_are_held_out(folder: Path):
    paths = sorted(folder.iterdir())
    for share, most in ((2, 3), (3, 128), (1, 2)):
        training, held_out = split(folder, share=share, limit=most)
        assert held_out and len(held_out) <= most and paths[-1] in held_out
        assert sorted([*training, *held_out]) == paths


def test_the_middle_of_a_photograph_is_kept():
    wide = np.broadcast_to(np.arange(90, dtype=np.float32) / 255, (40, 90))[..., None]
    for picture in (wide, wide.transpose(1, 0, 2)):
        middle = data.crop_square(picture, 40)
        assert middle.shape == (40, 40, 3) and middle.min() == 25 and middle.max() == 64


def test_the_players_learn_as_the_settings_say(folder: Path):
    t = new_trainer(folder, replace(TINY, beta1=0.75, discriminator_rate=0.125))
    assert (t.g_optimizer.beta1, t.g_optimizer.beta2) == (0.75, 0.999)
    assert (t.d_optimizer.beta1, t.d_optimizer.lr) == (0.5, 0.125)


def test_as_many_steps_as_fit_into_the_time(monkeypatch: pytest.MonkeyPatch):
    """The first two steps compile and take a minute here, the others take two seconds."""
    now, made = 0.0, []

    class Trial:
        device = CPU

        def run(self) -> Any:
            nonlocal now
            for step in range(training.TRIAL_STEPS):
                now += 60.0 if step < 2 else 2.0
                yield step

    def make(count: int) -> Any:
        made.append(count)
        return Trial()

    monkeypatch.setattr(training.time, "perf_counter", lambda: now)
    assert training.steps_in(10.0, make) == int(0.97 * 600 / 2) and made == [training.TRIAL_STEPS]
    assert training.steps_in(1e-6, make) == 1


LIES: list[Any] = [
    lambda groups, about: about.clear(),
    lambda groups, about: about["progress"].update(step=7),
    lambda groups, about: about["progress"].update(steps=7),
    lambda groups, about: about["progress"].update(step=0),
    lambda groups, about: about["progress"].update(batches="{}"),
    lambda groups, about: about["progress"].update(dropout=None),
    lambda groups, about: groups.pop("discriminator"),
    lambda groups, about: groups["g_optimizer"].clear(),
    lambda groups, about: groups["d_optimizer"].update(steps=np.array(9)),
    lambda groups, about: groups["g_optimizer"].update(steps=np.array(np.nan)),
    lambda groups, about: groups["generator"].update(more=np.ones(1)),
]


@pytest.fixture(scope="module")
def saved(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a checkpoint after one step."""
    t = new_trainer(folder, replace(TINY, adversarial=0.5, batch=1))
    next(t.run())
    groups, about = t.state()
    return {g: {k: v.copy() for k, v in named.items()} for g, named in groups.items()}, about


@pytest.mark.parametrize("lie", LIES, ids=range(len(LIES)))
def test_a_checkpoint_that_lies_is_refused(lie: Any, saved: Any, folder: Path):
    groups, about = {g: dict(named) for g, named in saved[0].items()}, copy.deepcopy(saved[1])
    lie(groups, about)
    with pytest.raises(checkpoint.CheckpointError, match=r"^not a checkpoint of this run: "):
        new_trainer(folder, replace(TINY, adversarial=0.5, batch=1)).load_state(groups, about)
