"""Filling holes in pictures of any size: unchanged pixels, refusals, and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import checkpoint
from minidl.device import Device
from minidl.models.cli import context_encoder, evaluate, main
from minidl.models.context_encoder import Inpainter, inpainter, scores
from minidl.models.context_encoder.blending import blend_seam
from minidl.models.context_encoder.windows import _share, mirrored_indices, resize, windows_of
from minidl.models.images.files import read, write
from minidl.models.images.samples import photograph


def filler(mask: str = "centre", overlap: int = 4) -> Inpainter:
    return Inpainter.new(
        "compact", mask, overlap=overlap, rng=np.random.default_rng(0), width=1 / 12
    )[0]


def speckled(shape: tuple[int, int]) -> np.ndarray:
    """Return a mask with a large hole, a small one, a scratch, and one on the border."""
    mask = np.zeros(shape, bool)
    height, width = shape
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    mask[-4:-2, -9:-7] = True
    mask[np.arange(height), np.arange(height) * width // height] = True
    mask[: height // 8, -width // 5 :] = True
    return mask


@pytest.mark.parametrize("kind", ["centre", "random", "block", "region"])
@pytest.mark.parametrize("shape", [(128, 128, 3), (90, 201, 3), (301, 64, 1), (17, 23, 3)])
def test_pixels_outside_the_mask_stay_bit_for_bit(kind: str, shape: tuple[int, int, int]):
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    before, mask = pixels.copy(), speckled(shape[:2])
    filled = filler(kind).inpaint(pixels, mask)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(filled[~mask], pixels[~mask])
    assert filled.shape == shape and filled.dtype == np.float32
    assert np.isfinite(filled).all() and filled.min() >= 0 and filled.max() <= 1
    assert (filled[mask] != pixels[mask]).mean() > 0.9


def test_on_every_device(device: Device):
    pixels, mask = photograph("chelsea")[:120, :150], speckled((120, 150))
    model = filler()
    expected = model.inpaint(pixels, mask)
    model.generator.to(device)
    np.testing.assert_allclose(model.inpaint(pixels, mask), expected, atol=1e-4)


def test_every_hole_pixel_belongs_to_one_window():
    mask = speckled((128, 160))
    seen = np.zeros(mask.shape, int)
    for window in windows_of(mask, filler().holes):
        seen[window.rows, window.columns] += 1
        reach = max(np.ptp(window.rows), np.ptp(window.columns)) + 1
        assert window.side >= 128 / 56 * reach
        assert window.hole().sum() == len(window.rows)
    np.testing.assert_array_equal(seen, mask)


@pytest.mark.parametrize(("overlap", "seen"), [(4, 56), (1, 60), (0, 60)])
@pytest.mark.parametrize("reach", [7, 20])
def test_a_hole_takes_up_what_is_predicted(overlap: int, seen: int, reach: int):
    """A hole takes the predicted square but for the overlap, at least two network pixels."""
    mask = np.zeros((200, 200), bool)
    mask[60 : 60 + reach, 90 : 90 + reach] = True
    (window,) = windows_of(mask, filler(overlap=overlap).holes)
    least = int(np.ceil(reach * 128 / seen))
    assert window.side == least + (least - reach) % 2
    around = (window.side - reach) // 2
    assert (window.top, window.left) == (60 - around, 90 - around)


@pytest.mark.parametrize(
    ("reach", "largest", "side"),
    [(10, 1000, 128), (40, 1000, 20 / 0.11), (60, 200, 200), (120, 200, 240)],
    ids=["not enlarged", "as thick as in training", "all there is", "twice the hole"],
)
def test_a_region_is_seen_as_in_training(reach: int, largest: int, side: float):
    assert reach / _share(np.ones((reach, reach), bool), 128, largest) == pytest.approx(side)


def test_bytes_are_completed_as_numbers_are():
    model, pixels = filler(), photograph("coffee")[None, :128, :128]
    whole = np.round(255 * pixels).astype(np.uint8)
    mask, corners = model.holes.draw(1, np.random.default_rng(0))
    found = model.inpaint_batch(whole, mask, corners)
    expected = model.inpaint_batch(whole / np.float32(255), mask, corners)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found[~mask], (whole / np.float32(255))[~mask])


TABLES: list[tuple[Callable[[Any], None], dict[str, Any], str]] = [
    (
        context_encoder._print_table,
        {
            "us": dict(l1=1.234, l2=2.345, psnr=20.126, whole=30.5, ssim=0.98765, pictures=7),
            "mean": dict(l1=11.0, l2=0.5, psnr=9.0, whole=8.0, ssim=0.5, pictures=12),
        },
        """\
          L1 %      L2 %   PSNR dB  whole dB      SSIM  pictures
us        1.23      2.35     20.13     30.50     0.988         7
mean     11.00      0.50      9.00      8.00     0.500        12
""",
    ),
    (
        evaluate.print_table,
        {"b.png": {"damaged": 20.126, "total variation": 9.0},
         "mean": {"damaged": 5.0, "total variation": 31.5}},
        """\
       damaged  total variation
b.png    20.13             9.00
mean      5.00            31.50
""",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("show", "rows", "text"), TABLES, ids=["holes", "damage"])
def test_tables_stand_in_columns(
    show: Callable[[Any], None], rows: Any, text: str, capsys: pytest.CaptureFixture[str]
):
    show(rows)
    assert capsys.readouterr().out == text


def test_the_seam_closes():
    """A prediction with only its brightness wrong is corrected, and its texture stays."""
    rows, columns = np.mgrid[:64, :64]
    truth = np.stack([rows / 128 + 0.2, columns / 128 + 0.1, np.full((64, 64), 0.5)], axis=-1)
    hole = np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    hole[20:24, 20:24] = False
    wrong = truth + 0.2 - rows[..., None] / 640
    texture = np.where(hole, 0.1 * np.sin(rows), 0)[..., None]
    blended = blend_seam(wrong + texture, truth, hole, ~hole)
    np.testing.assert_allclose(blended[hole], (truth + texture)[hole], atol=0.005)
    np.testing.assert_array_equal(blended[~hole], (wrong + texture)[~hole])
    nothing = blend_seam(wrong, truth, hole, np.zeros_like(hole))
    np.testing.assert_array_equal(nothing, wrong)


def test_mirrored_indices():
    assert mirrored_indices(-3, 5, 4).tolist() == [2, 1, 0, 0, 1]
    assert mirrored_indices(2, 8, 3).tolist() == [2, 2, 1, 0, 0, 1, 2, 2]


@pytest.mark.parametrize("side", [8, 32])
def test_a_scaled_picture_has_the_same_shapes(side: int):
    """A ramp stays a ramp, at the new pixels' centres, inside the border, in every channel."""
    ramp = np.broadcast_to((np.arange(16, dtype=np.float32) + 0.5) / 16, (16, 16))
    picture = np.stack([ramp, 0.5 * ramp.T, 1 - ramp], axis=-1)
    result = resize(picture, side)
    expected = np.broadcast_to((np.arange(side, dtype=np.float32) + 0.5) / side, (side, side))
    inner = (slice(side // 4, -side // 4), slice(side // 4, -side // 4))
    expected = np.stack([expected, 0.5 * expected.T, 1 - expected], axis=-1)
    assert result.shape == (side, side, 3) and result.dtype == np.float32
    np.testing.assert_allclose(result[inner], expected[inner], atol=1e-5)
    np.testing.assert_array_equal(resize(picture, 16), picture)


@pytest.mark.parametrize("kind", ["centre", "region"])
def test_with_the_mirror_a_filling_is_the_mean_of_both(kind: str, tmp_path: Path):
    """A mirrored picture therefore has the mirrored filling."""
    filler(kind).save(tmp_path / "model.safetensors")
    once = Inpainter.load(tmp_path / "model.safetensors")
    both = Inpainter.load(tmp_path / "model.safetensors", flip_average=True)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
    turned = x[:, :, ::-1].copy()
    expected = (once.generate(x) + once.generate(turned)[:, :, ::-1]) / 2
    np.testing.assert_array_equal(both.generate(x), expected)
    np.testing.assert_allclose(both.generate(turned)[:, :, ::-1], expected, atol=1e-6)
    assert np.abs(once.generate(x) - expected).max() > 1e-3


def test_texture_is_added_in_the_hole_alone(tmp_path: Path):
    """A filling with texture is rougher than one without, in rough surroundings."""
    filler().save(tmp_path / "model.safetensors")
    smooth = Inpainter.load(tmp_path / "model.safetensors")
    rough = Inpainter.load(tmp_path / "model.safetensors", texture=True)
    pixels = np.random.default_rng(0).random((200, 220, 3), dtype=np.float32)
    mask = np.zeros((200, 220), bool)
    mask[60:140, 60:140] = True
    before, after = smooth.inpaint(pixels, mask), rough.inpaint(pixels, mask)
    np.testing.assert_array_equal(after[~mask], pixels[~mask])
    assert after[70:130, 70:130].std() > 3 * before[70:130, 70:130].std()
    assert after.min() >= 0 and after.max() <= 1


def test_a_file_holds_the_model(tmp_path: Path):
    model, path = filler("region", 0), tmp_path / "model.safetensors"
    model.save(path)
    again = Inpainter.load(path)
    assert again.about() == model.about()
    pixels, mask = photograph("coffee")[:100, :100], speckled((100, 100))
    np.testing.assert_array_equal(again.inpaint(pixels, mask), model.inpaint(pixels, mask))
    checkpoint.save(path, {"generator": {}}, {"model": "ssda"})
    with pytest.raises(checkpoint.CheckpointError, match="expected 'context-encoder'"):
        Inpainter.load(path)
    checkpoint.save(path, {"generator": {}}, model.about())
    with pytest.raises(checkpoint.CheckpointError, match="a damaged context-encoder checkpoint"):
        Inpainter.load(path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((20, 30), bool), "the mask is empty"),
        (np.ones((20, 30), bool), "covers 100 % of the picture, expected at most 60 %"),
        (np.ones((20, 31), bool), r"mask is bool \(20, 31\), expected bool \(20, 30\)"),
        (np.ones((20, 30)), "mask is float64"),
    ],
)
def test_masks_that_cannot_be_used(mask: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        filler().inpaint(np.zeros((20, 30, 3), np.float32), mask)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Work in a folder with pictures/, masks/ and a model."""
    filler().save(tmp_path / "model.safetensors")
    for name, folder in {"a": "pictures", "b": "pictures/deep"}.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        write(tmp_path / folder / f"{name}.png", photograph("chelsea")[:80, :100])
    (tmp_path / "masks" / "deep").mkdir(parents=True)
    mask = np.zeros((80, 100, 1), np.float32)
    mask[30:50, 40:60] = 1
    write(tmp_path / "masks" / "a.bmp", mask)
    write(tmp_path / "masks" / "deep" / "b.png", 1 - mask)
    return tmp_path


def fill(place: Path, *arguments: str) -> int:
    arguments = tuple(a.replace("@", f"{place}/") for a in arguments)
    return main(["fill", *arguments, "--weights", f"{place}/model.safetensors", "--device", "cpu"])


@pytest.mark.parametrize(
    ("options", "hole"),
    [
        (("--mask", "40,30,20,20"), 400),
        (("--mask", "@masks/a.bmp"), 400),
        (("--mask", "@masks"), 400),
        (("--mask", "@masks/deep/b.png", "--invert-mask"), 400),
        (("--mask", "40,30,20,20", "--grow", "3"), 400 + 240 + 4 * 8 - 4),
    ],
)
def test_fill(place: Path, options: tuple[str, ...], hole: int):
    assert fill(place, "@pictures/a.png", "-o", "@out.png", *options) == 0
    before, after = read(place / "pictures/a.png").pixels, read(place / "out.png").pixels
    changed = (before != after).any(axis=2)
    assert 0.9 * hole < changed.sum() <= hole


def test_fill_folders(place: Path, capsys: pytest.CaptureFixture[str]):
    out = ["-o", "@out", "--json"]
    assert fill(place, "@pictures", "--mask", "@masks", *out) == 1  # b's inverted mask is too large
    reports = json.loads(capsys.readouterr().out)
    assert [Path(r["out"]).name for r in reports] == ["a.png"] and reports[0]["filled"] == 0.05
    (place / "masks" / "deep" / "b.png").unlink()
    assert fill(place, "@pictures", "--mask", "@masks", "--force", *out) == 1
    said = capsys.readouterr().err
    assert "holds no mask for deep/b.png" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("40,30,20", "expected x,y,width,height"),
        ("40,30,0,5", "expected x,y,width,height"),
        ("90,30,20,20", "reaches over the border of the picture, which is 100x80"),
        ("0,0,100,80", "covers 100 % of the picture"),
        ("@missing.png", "there is no such file"),
        ("@model.safetensors", "is not a picture"),
        ("@small.png", "the mask is 9x9, the picture 100x80"),
        ("@black.png", "the mask is empty"),
    ],
)
def test_bad_masks_are_one_line(
    place: Path, mask: str, message: str, capsys: pytest.CaptureFixture[str]
):
    write(place / "small.png", np.ones((9, 9), np.float32))
    write(place / "black.png", np.zeros((80, 100), np.float32))
    try:
        code = fill(place, "@pictures/a.png", "-o", "@out.png", "--mask", mask)
    except SystemExit as stop:  # argparse exits itself
        code = int(str(stop.code))
    assert code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert message in said and ("expected x" in said or "pictures/a.png" in said)
    assert not (place / "out.png").exists()


def test_without_weights_there_is_a_clear_line(place: Path, capsys: pytest.CaptureFixture[str]):
    from minidl.models import zoo

    if zoo.entries("context-encoder"):
        pytest.skip("there are weights")
    arguments = [f"{place}/pictures/a.png", "--mask", "1,1,5,5", "-o", f"{place}/out.png"]
    assert main(["fill", *arguments]) == 2
    assert "give --weights FILE" in capsys.readouterr().err


def test_files_of_damaged_numbers_are_refused(tmp_path: Path):
    """The same holds for a model that shares the parameters of another file."""
    path, rest = tmp_path / "model.safetensors", tmp_path / "rest.safetensors"
    model = filler()
    state = model.generator.state()
    name = next(iter(state))
    checkpoint.save(path, {"generator": {name: state[name] * np.nan}}, model.about())
    with pytest.raises(checkpoint.CheckpointError, match=r"model\.safetensors: a damaged context"):
        Inpainter.load(path)
    checkpoint.save(rest, {"generator": {k: v for k, v in state.items() if k != name}}, {})
    shared = {**model.about(), "rest": rest.name, "check": inpainter.checksum(rest)}
    checkpoint.save(path, {"generator": {name: state[name]}}, shared)
    again = Inpainter.load(path).generator.state()
    for key, array in state.items():
        np.testing.assert_array_equal(again[key], array)
    checkpoint.save(path, {"generator": {name: state[name] * np.nan}}, shared)
    with pytest.raises(checkpoint.CheckpointError, match=r"model\.safetensors: a damaged context"):
        Inpainter.load(path)
    rest.unlink()
    words = r"the rest of its parameters are those of rest\.safetensors; expected that file"
    with pytest.raises(checkpoint.CheckpointError, match=words):
        Inpainter.load(path)


@pytest.mark.parametrize("method", ["Telea", "Navier-Stokes"])
def test_methods_of_opencv(method: str, monkeypatch: pytest.MonkeyPatch):
    """OpenCV gets levels of 8 bits, a radius of 3 pixels, and the method."""
    asked: list[Any] = []

    def inpaint(levels: np.ndarray, mask: np.ndarray, radius: int, flag: str) -> np.ndarray:
        asked.extend([levels.dtype, mask.dtype, mask.max(), radius, flag])
        return np.where(mask[..., None] > 0, np.uint8(51), levels)

    stand_in = SimpleNamespace(INPAINT_TELEA="Telea", INPAINT_NS="Navier-Stokes", inpaint=inpaint)
    monkeypatch.setitem(sys.modules, "cv2", stand_in)
    pixels, mask = photograph("coffee")[:20, :20], np.zeros((20, 20), bool)
    mask[5:9, 5:9] = True
    found = scores._opencv(method, pixels, mask)
    assert asked == [np.uint8, np.uint8, 1, 3, method] and found.dtype == np.float32
    np.testing.assert_allclose(found[mask], 0.2)
    np.testing.assert_allclose(found[~mask], pixels[~mask], atol=1e-6)


def test_the_least_hole_is_still_one_where_it_shrinks():
    mask = np.zeros((256, 256), bool)
    mask[100, 60] = True
    small = inpainter._shrink(mask, 128)
    assert small[50, 30] and small.sum() < 30
    assert not inpainter._shrink(np.zeros((256, 256), bool), 128).any()
