"""Pictures in and out of files, corruptions, patches, scores and samples."""

from __future__ import annotations

import contextlib
import inspect
import logging
import math
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from minidl import device as devices
from minidl import kernels, random
from minidl.models.images import corruptions, files, foreign, patches, samples, scores
from minidl.models.images.files import Picture, PictureError

Save = Callable[[Path], Any]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def random_picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def eight_bit(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


# --- files: what can be read ---------------------------------------------------------------------

GREY, COLOUR = eight_bit(5, 7), eight_bit(5, 7, 3)
DEEP = np.random.default_rng(2).integers(0, 65536, (5, 7), dtype=np.uint16)
PALETTE = Image.fromarray(COLOUR).quantize(4)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("1.png", Image.fromarray(GREY > 99), (GREY > 99)[:, :, None]),
        ("L.png", Image.fromarray(GREY), GREY[:, :, None] / 255),
        ("L.bmp", Image.fromarray(GREY), GREY[:, :, None] / 255),
        ("grey.gif", Image.fromarray(GREY), GREY[:, :, None].repeat(3, axis=2) / 255),
        ("RGB.png", Image.fromarray(COLOUR), COLOUR / 255),
        ("RGB.tif", Image.fromarray(COLOUR), COLOUR / 255),
        ("P.png", PALETTE, np.asarray(PALETTE.convert("RGB")) / 255),
        ("16.png", Image.fromarray(DEEP), DEEP[:, :, None] / 65535),
        ("16.tif", Image.fromarray(DEEP), DEEP[:, :, None] / 65535),
        ("I.tif", Image.fromarray(DEEP.astype(np.int32)), DEEP[:, :, None] / 65535),
        ("F.tif", Image.fromarray((DEEP / 65535).astype(np.float32)), DEEP[..., None] / 65535),
        ("CMYK.tif", Image.fromarray(COLOUR).convert("CMYK"), COLOUR / 255),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read_modes(tmp_path: Path, name: str, image: Image.Image, expected: np.ndarray) -> None:
    image.save(tmp_path / name)
    picture = files.read(tmp_path / name)
    assert picture.pixels.dtype == np.float32 and picture.alpha is None
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)
    assert picture.bits == (16 if name[0] in "1IF" and name != "1.png" else 8)


def test_read_lossy_modes(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    smooth = Image.fromarray(
        np.stack(np.broadcast_arrays(ramp, ramp[:, None], np.uint8(99)), axis=2)
    )
    for mode, name in (("CMYK", "a.jpg"), ("YCbCr", "b.jpg"), ("YCbCr", "c.tif"), ("RGB", "d.jpg")):
        smooth.convert(mode).save(tmp_path / name)
        assert np.abs(files.read(tmp_path / name).pixels - np.asarray(smooth) / 255).max() < 0.05


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "L+key", "I;16+key"])
def test_read_transparency(tmp_path: Path, mode: str) -> None:
    path, alpha = tmp_path / "a.png", np.where(GREY > 99, 255, 0).astype(np.uint8)
    colour = Image.fromarray(GREY if mode[0] == "L" else COLOUR)
    if mode == "P":
        PALETTE.save(path, transparency=2)
        alpha = np.where(np.asarray(PALETTE) == 2, 0, 255)
    elif mode == "L+key":
        colour.save(path, transparency=int(GREY[0, 0]))
        alpha = np.where(GREY[0, 0] == GREY, 0, 255)
    elif mode == "I;16+key":
        Image.fromarray(DEEP).save(path, transparency=int(DEEP[0, 0]))
        alpha = np.where(DEEP[0, 0] == DEEP, 0, 255)
    else:
        colour.putalpha(Image.fromarray(alpha))
        colour.save(path)
    picture = files.read(path)
    assert picture.alpha is not None and picture.alpha.dtype == np.float32
    assert picture.pixels.shape == (5, 7, 1 if mode[0] in "LI" else 3)
    np.testing.assert_array_equal(picture.alpha, alpha / 255)


def test_read_turns_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a rotated camera: rotate by 90 degrees clockwise
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_allclose(files.read(tmp_path / "a.png").pixels, np.rot90(COLOUR, -1) / 255)


def test_phone_pictures_with_a_preview_are_still(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR)
    image.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[image.resize((3, 2))])
    assert files.read(tmp_path / "a.jpg").pixels.shape == (5, 7, 3)


# --- files: what is refused ----------------------------------------------------------------------


def truncated(path: Path, kind: str, keep: float = 0.5) -> None:
    Image.fromarray(eight_bit(64, 64, 3)).save(path, kind)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])


def animated(path: Path, kind: str) -> None:
    frames = [Image.fromarray(np.full((8, 8), level, dtype=np.uint8)) for level in (0, 100, 200)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])


def header_only(path: Path, width: int, height: int) -> None:
    """Write a tiny PPM file whose header promises a huge picture."""
    path.write_bytes(b"P5 %d %d 255 " % (width, height))


BAD: list[tuple[str, Save, str]] = [
    ("missing.png", lambda path: None, "no such file"),
    ("folder.png", lambda path: path.mkdir(), "is a folder"),
    ("empty.png", lambda path: path.touch(), "is empty"),
    ("text.png", lambda path: path.write_text("not a picture"), "not a picture"),
    ("zeros.png", lambda path: path.write_bytes(bytes(999)), "not a picture"),
    ("cut.png", lambda path: truncated(path, "PNG"), "damaged"),
    ("cut.jpg", lambda path: truncated(path, "JPEG"), "damaged"),
    ("cut.tif", lambda path: truncated(path, "TIFF"), ""),
    ("cut.webp", lambda path: truncated(path, "WEBP"), ""),
    ("cut.bmp", lambda path: truncated(path, "BMP"), "damaged"),
    ("short.png", lambda path: truncated(path, "PNG", 0.002), ""),
    ("moves.gif", lambda path: animated(path, "GIF"), "3 frames"),
    ("moves.png", lambda path: animated(path, "PNG"), "3 frames"),
    ("pages.tif", lambda path: animated(path, "TIFF"), "3 frames"),
    ("large.ppm", lambda path: header_only(path, 10_000, 10_000), "too many pixels"),
    ("bomb.ppm", lambda path: header_only(path, 100_000, 100_000), "too many pixels"),
    ("nothing.ppm", lambda path: header_only(path, 0, 9), ""),
    ("F.tif", lambda path: Image.fromarray(np.full((2, 2), 9.5, "f4")).save(path), "9.5"),
    ("NaN.tif", lambda path: Image.fromarray(np.full((2, 2), np.nan, "f4")).save(path), "nan"),
    ("I.tif", lambda path: Image.fromarray(np.full((2, 2), 70000, "i4")).save(path), "70000"),
]


@pytest.mark.parametrize(("name", "make", "words"), BAD, ids=[row[0] for row in BAD])
def test_read_refuses(tmp_path: Path, name: str, make: Save, words: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(PictureError) as caught:
        files.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message


def test_read_survives_random_damage(tmp_path: Path, rng: np.random.Generator) -> None:
    for suffix, kind in files.FORMATS.items():
        path = tmp_path / f"a{suffix}"
        Image.fromarray(eight_bit(16, 16, 3)).save(path, kind)
        sound = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(40):
            bad = sound.copy()
            reach = len(bad) if rng.random() < 0.5 else 99
            bad[rng.integers(min(reach, len(bad)), size=4)] = rng.integers(256, size=4)
            path.write_bytes(bad.tobytes())
            with contextlib.suppress(PictureError):
                assert files.read(path).pixels.size


def test_the_ends_of_16_bits_and_of_floats_are_read(tmp_path: Path) -> None:
    ends = np.array([[0, 65535], [65535, 0]], np.uint16)
    for name, image in (("16.png", ends), ("16.tif", ends), ("F.tif", ends / np.float32(65535))):
        Image.fromarray(image).save(tmp_path / name)
        assert files.read(tmp_path / name).pixels[..., 0].tolist() == [[0, 1], [1, 0]]


def png_of(width: int, height: int, data: bytes) -> bytes:
    """Return a grey PNG whose header has this size."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", data),
        (b"IEND", b""),
    ]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c))
        for name, c in chunks
    )


def test_what_says_to_be_huge_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    monkeypatch.setattr(files, "_decode", lambda *_: pytest.fail("it was decoded"))
    for width, height, words in (
        (5800, 5900, r"says that 74 bytes are 5800x5900 pixels; expected"),
        (9000, 10000, "too many pixels to be safe"),
        (60000, 60000, "too many pixels to be safe"),
    ):
        path.write_bytes(png_of(width, height, zlib.compress(bytes(1000))))
        with pytest.raises(PictureError, match=words):
            files.read(path)
    monkeypatch.undo()
    tall = np.zeros((5000, 4000), bool)
    tall[9:99, 9:99] = True
    Image.fromarray(tall).save(path)  # a large mask, nearly all of one colour
    assert files.read(path).pixels.sum() == 90 * 90


def test_libraries_below_say_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for kind in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        path = tmp_path / f"{kind}.tif"
        Image.fromarray(eight_bit(40, 40, 3)).save(path, compression=kind)
        sound = path.read_bytes()
        for at in range(8, len(sound), 97):
            path.write_bytes(sound[:at] + b"\xff\xff\xff" + sound[at + 3 :])
            with contextlib.suppress(PictureError):
                files.read(path)
    said = capfd.readouterr()
    assert not said.err and not said.out


def test_the_log_of_pillow_is_silent_while_reading_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("PIL")
    monkeypatch.setattr(log, "level", logging.WARNING)
    with foreign.silenced():
        assert not log.isEnabledFor(logging.CRITICAL)
    assert log.level == logging.WARNING
    with pytest.raises(PictureError):
        files.read(tmp_path / "none.png")
    assert log.level == logging.WARNING


def test_warnings_of_a_decoder_are_no_errors(tmp_path: Path) -> None:
    pixels, cut = eight_bit(5, 7, 3), b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=cut)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = files.read(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(found, pixels / np.float32(255))


# --- files: writing and finding ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".webp", ".bmp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_write_read_is_exact(tmp_path: Path, suffix: str, channels: int) -> None:
    path, levels = tmp_path / f"a{suffix}", eight_bit(6, 9, channels)
    files.write(path, (levels / 255).astype(np.float32))
    pixels = np.rint(files.read(path).pixels * 255)
    np.testing.assert_array_equal(pixels, np.broadcast_to(levels, pixels.shape))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_write_keeps_transparency(tmp_path: Path, suffix: str, channels: int) -> None:
    alpha = np.full((5, 7), 0.2, dtype=np.float32)
    files.write(tmp_path / f"a{suffix}", Picture(random_picture(5, 7, channels), alpha))
    np.testing.assert_allclose(files.read(tmp_path / f"a{suffix}").alpha, alpha)  # type: ignore


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_write_keeps_the_colours_profile(tmp_path: Path, suffix: str, mode: str) -> None:
    """A profile for other colours than the written ones is dropped."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new(mode, (4, 4)).save(tmp_path / "a.jpg", icc_profile=profile)
    files.write(tmp_path / f"b{suffix}", files.read(tmp_path / "a.jpg"))
    kept = Image.open(tmp_path / f"b{suffix}").info.get("icc_profile")
    assert kept == (None if mode == "CMYK" else profile)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_write_keeps_16_bits(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / f"a{suffix}")
    picture = files.read(tmp_path / f"a{suffix}")
    files.write(tmp_path / f"b{suffix}", picture.with_pixels(picture.pixels.copy()))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"b{suffix}")), DEEP)


def test_write_clips_and_rounds(tmp_path: Path) -> None:
    files.write(tmp_path / "a.png", np.array([[-3.0, 0.4 / 255, 0.6 / 255, 7.0]]))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), [[0, 0, 1, 255]])


def test_opaque_alpha_is_no_hindrance(tmp_path: Path) -> None:
    opaque = Picture(random_picture(5, 7, 3), np.ones((5, 7), dtype=np.float32))
    files.write(tmp_path / "a.jpg", opaque)
    assert files.read(tmp_path / "a.jpg").alpha is None


@pytest.mark.parametrize(
    ("name", "picture", "words"),
    [
        ("a.xyz", np.zeros((2, 2, 3)), ".png"),
        ("a", np.zeros((2, 2, 3)), ".png"),
        ("missing/a.png", np.zeros((2, 2, 3)), "create it first"),
        (".", np.zeros((2, 2, 3)), ""),
        ("a.png", np.zeros((2, 2, 4)), "(2, 2, 4)"),
        ("a.png", np.zeros((0, 2, 3)), "(0, 2, 3)"),
        ("a.png", np.zeros(4), "(4,)"),
        ("a.png", np.full((2, 2, 3), np.nan), "NaN"),
        ("a.webp", np.zeros((1, 20_000, 3)), "cannot be written"),
        ("a.jpg", Picture(np.zeros((2, 2, 3)), np.zeros((2, 2))), ".png"),
        ("gone/a.png", np.zeros((2, 2)), "there is no folder"),
        ("a.bmp", Picture(np.zeros((2, 2, 3)), np.zeros((2, 2))), ".png"),
    ],
)
def test_write_refuses(tmp_path: Path, name: str, picture: Any, words: str) -> None:
    with pytest.raises(PictureError) as caught:
        files.write(tmp_path / name, picture)
    assert str(caught.value).startswith(f"{tmp_path / name}: ") and words in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(28, "No space left on device"), PictureError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_interrupted_write_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, seen: type[BaseException]
) -> None:
    path = tmp_path / "a.png"
    files.write(path, random_picture(5, 7, 3))
    before = path.read_bytes()

    def save(image: Image.Image, file: Path, *args: Any, **options: Any) -> None:
        file.write_bytes(b"half a pict")
        raise error

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(seen):
        files.write(path, random_picture(5, 7, 3, seed=1))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_find(tmp_path: Path) -> None:
    for name in ("in/b.png", "in/a.JPG", "in/deep/c.tif", "in/.hid.png", "in/notes.txt", "d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = files.find([tmp_path / "in", str(tmp_path / "d.png"), tmp_path / "in" / "b.png"])
    assert [str(name) for _, name in found] == ["a.JPG", "b.png", "deep/c.tif", "d.png"]
    assert all(file.is_file() for file, _ in found)
    (tmp_path / "void").mkdir()
    (tmp_path / "b.png").touch()
    for paths, words in (
        ([tmp_path / "void"], "no pictures"),
        ([tmp_path / "gone"], "no such file"),
        ([tmp_path / "in", tmp_path / "b.png"], "same name"),
    ):
        with pytest.raises(PictureError, match=words):
            files.find(paths)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(None, [0, 1, 2, 3, 4, 5, 6]), (9, [0, 1, 2, 3, 4, 5, 6]), (7, [0, 1, 2, 3, 4, 5, 6]),
     (3, [0, 3, 6]), (2, [0, 6]), (1, [0])],
)  # fmt: skip
def test_some_of_many_are_spread_evenly(most: int | None, expected: list[int]) -> None:
    assert files.subsample(range(7), most) == expected


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PictureError, match=r"a\.png: is a folder; expected the name of a file"):
        files.write(tmp_path / "a.png", np.zeros((2, 2)))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"a\.png: is a pipe; expected a picture's file"):
        files.read(tmp_path / "a.png")


# --- corruptions ---------------------------------------------------------------------------------


def test_gaussian_noise(rng: np.random.Generator) -> None:
    x = np.full((200, 200), 0.5, dtype=np.float32)
    noise = corruptions.gaussian_noise(x, 100, rng) - x
    assert noise.dtype == np.float32 and noise.max() > 0.5  # not clipped
    assert abs(noise.std() * 255 - 100) < 1 and abs(noise.mean() * 255) < 2
    for dtype in (np.float32, np.float64):
        assert corruptions.gaussian_noise(x.astype(dtype), 25, rng).dtype == dtype


def test_salt_and_pepper(rng: np.random.Generator) -> None:
    x = np.full((300, 300), 0.5, dtype=np.float32)
    noisy = corruptions.salt_and_pepper(x, 0.3, rng)
    assert noisy.dtype == np.float32 and (x == 0.5).all()
    for value, share in ((0, 0.15), (1, 0.15), (0.5, 0.7)):
        assert abs((noisy == value).mean() - share) < 0.01
    np.testing.assert_array_equal(corruptions.salt_and_pepper(x, 0, rng), x)


@pytest.mark.parametrize(("sizes", "low", "high"), [((18, 24), 0.17, 0.22), ((18, 36), 0.16, 0.21)])
@pytest.mark.parametrize("fonts", [corruptions.TRAINING_FONTS, corruptions.HELD_OUT_FONTS])
def test_text_covers_as_much_as_in_the_experiments(
    rng: np.random.Generator, sizes: tuple[int, int], low: float, high: float, fonts: tuple[str]
) -> None:
    drawn = [corruptions.text_sheet((256, 256), rng, sizes=sizes, fonts=fonts) for _ in range(20)]
    sheets = [sheet[..., 0] for sheet in drawn]
    coverage = float(np.mean([sheet > 0 for sheet in sheets]))
    # The held-out designs are thinner.
    assert (low if fonts is corruptions.TRAINING_FONTS else 0.11) < coverage < high
    assert sheets[0].dtype == np.float32 and sheets[0].min() == 0 and sheets[0].max() == 1
    assert ((sheets[0] > 0) & (sheets[0] < 1)).any()  # smooth rims
    assert np.mean([sheet[:4] > 0 for sheet in sheets]) > 0.05  # text reaches the border


def test_every_font_is_there_and_draws(rng: np.random.Generator) -> None:
    assert not set(corruptions.TRAINING_FONTS) & set(corruptions.HELD_OUT_FONTS)
    for name in corruptions.FONTS:
        assert corruptions.text_sheet((64, 128), rng, fonts=[name])[..., 0].any()


@pytest.mark.parametrize(
    ("function", "more"),
    [
        (corruptions.text_sheet, {"grey": 0.1}),
        (corruptions.add_text, {"colours": "black-white"}),
    ],
)
def test_text_is_by_default_that_of_the_experiments(
    function: Callable[..., Any], more: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    fonts = corruptions.TRAINING_FONTS
    assert found == {"sizes": (18, 36), "fonts": fonts, "spacing": 1.4, **more}


def test_a_font_that_is_gone(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(corruptions.FONTS, "gone", "gone.ttf")
    with pytest.raises(FileNotFoundError, match=r"gone\.ttf cannot be opened; it is part of matpl"):
        corruptions.text_sheet((32, 32), rng, fonts=["gone"])


def test_add_text(rng: np.random.Generator) -> None:
    pixels = np.full((128, 160, 3), 0.5, dtype=np.float32)
    damaged, mask = corruptions.add_text(pixels, rng)
    assert damaged.dtype == np.float32 and mask.dtype == bool and mask.shape == (128, 160)
    assert (pixels == 0.5).all() and (damaged[~mask] == 0.5).all() and (damaged[mask] != 0.5).any()
    assert {0.0, 1.0} <= set(np.unique(damaged)) and damaged.min() >= 0 and damaged.max() <= 1
    assert (damaged[..., 0] == damaged[..., 1]).all()
    coloured, _ = corruptions.add_text(pixels, rng, colours="any")
    assert (coloured[..., 0] != coloured[..., 1]).any()


def test_text_is_repeatable() -> None:
    sheets = [corruptions.text_sheet((64, 99), np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert (sheets[0] == sheets[1]).all() and (sheets[0] != sheets[2]).any()
    # The sheet and the picture under text have the same lines.
    white = np.ones((64, 99, 1), dtype=np.float32)
    _, mask = corruptions.add_text(white, np.random.default_rng(3), colours="any")
    assert (mask[:18] == (sheets[0][..., 0] > 0)[:18]).mean() > 0.5


@pytest.mark.parametrize("grey", [0.0, 0.2, 1.0])
def test_each_line_of_a_sheet_has_one_colour(grey: float, rng: np.random.Generator) -> None:
    sheet = corruptions.text_sheet((4000, 60), rng, sizes=(18, 24), grey=grey)
    coverage, colour = sheet[..., 0], sheet[..., 1]
    assert (colour == colour[:, :1]).all()
    of_lines = colour[(coverage > 0).any(axis=1), 0]
    pure = float(np.isin(of_lines, (0, 1)).mean())
    assert abs(pure - (1 - grey)) < 0.2 and 0.3 < of_lines.mean() < 0.7


@pytest.mark.parametrize(
    "options", [{"sizes": (9, 3)}, {"fonts": []}, {"fonts": ["Wingdings"]}, {"spacing": 0}]
)
def test_text_refuses(rng: np.random.Generator, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"text: .*expected"):
        corruptions.text_sheet((32, 32), rng, **options)
    with pytest.raises(ValueError, match="colours"):
        corruptions.add_text(random_picture(32, 32, 1), rng, colours="red")  # type: ignore


# --- patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "size", "stride", "expected"),
    [(10, 4, 3, [0, 3, 6]), (11, 4, 3, [0, 3, 6, 7]), (4, 4, 2, [0]), (5, 4, 4, [0, 1])],
)
def test_positions(length: int, size: int, stride: int, expected: list[int]) -> None:
    assert patches.positions(length, size, stride).tolist() == expected


@pytest.mark.parametrize(("length", "size", "stride"), [(3, 4, 1), (9, 4, 5), (9, 4, 0), (9, 0, 1)])
def test_positions_refuse(length: int, size: int, stride: int) -> None:
    with pytest.raises(ValueError, match="expected 1 <= stride <= size <= length"):
        patches.positions(length, size, stride)


def test_gaussian_window() -> None:
    window = patches.gaussian_window(8)
    assert window.dtype == np.float32 and window.min() > 0 and window.argmax() in (27, 28, 35, 36)
    np.testing.assert_array_equal(window, window[::-1].T)
    assert patches.gaussian_window(12, spread=0.1).min() > 0
    distance = np.add.outer((np.arange(5.0) - 2) ** 2, (np.arange(5.0) - 2) ** 2)
    expected = np.exp(-distance / 2 / (0.3 * 5) ** 2)
    np.testing.assert_allclose(patches.gaussian_window(5, spread=0.3), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="spread"):
        patches.gaussian_window(8, spread=0.01)


@pytest.mark.parametrize("shape", [(13, 17), (5, 5), (40, 6), (1, 1), (3, 30), (2, 2)])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_restoring_by_doing_nothing_is_exact(shape: tuple[int, int], size: int) -> None:
    image = random_picture(*shape)
    for stride in range(1, size + 1):
        for window in (None, np.ones((size, size)), random_picture(size, size) + 0.01):
            same = patches.map_patches(
                image, lambda x: x, size=size, stride=stride, window=window, batch=7
            )
            assert same.dtype == np.float32
            np.testing.assert_array_equal(same, image)


def test_merging_weighs_by_the_window() -> None:
    window = np.array([[1.0, 3.0]]).repeat(2, axis=0)
    merger = patches.Merger((2, 3), window, like=np.zeros(1, dtype=np.float32))
    merger.add(np.stack([np.zeros(4), np.ones(4)]), np.array([0]), np.array([0, 1]))
    np.testing.assert_allclose(merger.picture(), [[0, 0.25, 1]] * 2)
    with pytest.raises(ValueError, match="under no patch"):
        patches.Merger((2, 3), window, like=window).picture()


def test_restore_works_in_batches_and_tells_progress() -> None:
    image, sizes, calls = random_picture(30, 40), [], []

    def brighten(x: np.ndarray) -> np.ndarray:
        sizes.append(len(x))
        return x + 1

    options: dict[str, Any] = {"size": 6, "stride": 2}
    whole = patches.map_patches(image, brighten, **options)
    parts = patches.map_patches(
        image, brighten, batch=40, progress=lambda *done: calls.append(done), **options
    )
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_allclose(whole, image + 1, rtol=1e-6)
    assert sizes == [13 * 18] + [36] * 6 + [18]
    assert calls[0] == (36, 234) and calls[-1] == (234, 234)
    with pytest.raises(ValueError, match=r"expected \(\d+, 36\)"):
        patches.map_patches(image, lambda x: x[:, 1:], **options)


@pytest.mark.parametrize("shape", [(30, 40), (3, 40), (1, 1), (4, 4)])
@pytest.mark.parametrize(("size", "inner"), [(10, 4), (7, 3), (5, 1), (4, 4)])
def test_a_function_may_answer_for_the_middle_of_a_patch_alone(
    shape: tuple[int, int], size: int, inner: int
) -> None:
    image, rim = random_picture(*shape), (size - inner) // 2

    def middle(x: np.ndarray) -> np.ndarray:
        squares = x.reshape(-1, size, size)
        return squares[:, rim : rim + inner, rim : rim + inner].reshape(len(x), -1)

    same = patches.map_patches(image, middle, size=size, inner=inner, stride=inner)
    np.testing.assert_array_equal(same, image)
    with pytest.raises(ValueError, match="an even difference"):
        patches.map_patches(image, middle, size=size, inner=inner + 1, stride=1)


def test_sampler_draws_every_position_and_symmetry_alike(rng: np.random.Generator) -> None:
    images = [np.arange(12).reshape(3, 4), 100 + np.arange(9).reshape(3, 3), np.zeros((1, 9))]
    sampler = patches.PatchSampler([image.astype(np.float32) for image in images], 2)
    assert sampler.count == 6 + 4
    expected = set()
    for image in images[:2]:
        for row, column in np.ndindex(2, image.shape[1] - 1):
            patch = image[row : row + 2, column : column + 2]
            for turn in range(4):
                expected |= {tuple(np.rot90(p, turn).ravel()) for p in (patch, patch.T)}
    assert len(expected) == 80
    drawn = sampler.sample(40_000, rng)
    assert drawn.shape == (40_000, 4) and drawn.dtype == np.float32
    seen, counts = np.unique(drawn, axis=0, return_counts=True)
    assert {tuple(patch) for patch in seen} == expected
    assert counts.min() > 400 and counts.max() < 600  # 500 each, give or take 4.5 deviations


def test_sampler_draws_planes_together(rng: np.random.Generator) -> None:
    images = [random_picture(20, 30), random_picture(16, 9)]
    planes = [np.stack([image, 1 - image, image + 5], axis=2) for image in images]
    drawn = patches.PatchSampler(planes, 5).sample(40, np.random.default_rng(3))
    assert drawn.shape == (40, 25, 3)
    alone = patches.PatchSampler(images, 5).sample(40, np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, np.stack([alone, 1 - alone, alone + 5], axis=2))


def test_sampler_is_repeatable() -> None:
    images = [random_picture(100, 120), random_picture(64, 64)]
    first, second = (patches.PatchSampler(images, 12) for _ in range(2))
    a, b = (s.sample(256, np.random.default_rng(5)) for s in (first, second))
    np.testing.assert_array_equal(a, b)
    assert abs(first.sample(4000, np.random.default_rng(6)).mean() - 0.5) < 0.01
    with pytest.raises(ValueError, match="at least 200 x 200"):
        patches.PatchSampler(images, 200)


# --- scores --------------------------------------------------------------------------------------


def test_psnr(rng: np.random.Generator) -> None:
    clean, other = random_picture(20, 30, 3), random_picture(20, 30, 3, seed=1)
    mask = rng.random((20, 30)) < 0.2
    expected = peak_signal_noise_ratio(clean, other, data_range=1)
    assert scores.psnr(clean, other) == pytest.approx(expected, rel=1e-6)
    expected = peak_signal_noise_ratio(clean[mask], other[mask], data_range=1)
    assert scores.psnr(clean, other, mask) == pytest.approx(expected, rel=1e-6)
    assert scores.psnr(clean, clean) == math.inf
    noisy = corruptions.gaussian_noise(random_picture(300, 300, 1), 25, rng)
    assert scores.psnr(random_picture(300, 300, 1), noisy) == pytest.approx(20.17, abs=0.05)
    for arguments in ((clean, clean[1:]), (clean, clean, mask[1:]), (clean, clean, mask & False)):
        with pytest.raises(ValueError, match=r"psnr: .*expected"):
            scores.psnr(*arguments)


@pytest.mark.parametrize("shape", [(30, 40, 3), (30, 40, 1), (11, 50, 1), (10, 9, 3), (1, 1, 1)])
def test_ssim(shape: tuple[int, int, int]) -> None:
    clean = random_picture(*shape)
    assert scores.ssim(clean, clean) == pytest.approx(1)
    assert scores.ssim(clean, random_picture(*shape, seed=1)) < 0.99
    with pytest.raises(ValueError, match=r"ssim: .*expected"):
        scores.ssim(clean, clean[:, :, :0])


@pytest.mark.parametrize("shape", [(30, 40, 3), (40, 30, 1), (11, 50, 1), (10, 30, 1), (5, 40, 3)])
def test_ssim_is_that_of_its_paper(shape: tuple[int, int, int]) -> None:
    """SSIM is the paper's equation 13, in 11 x 11 windows with a Gaussian of deviation 1.5."""
    x, y = (
        random_picture(*shape),
        0.7 * random_picture(*shape) + 0.3 * random_picture(*shape, seed=1),
    )

    def mean(of: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(of.astype(np.float64), (1.5, 1.5, 0), truncate=3.5)

    of_x, of_y = mean(x), mean(y)
    both = mean(x * y) - of_x * of_y
    variances = mean(x**2) - of_x**2 + mean(y**2) - of_y**2
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * of_x * of_y + c1) * (2 * both + c2) / (of_x**2 + of_y**2 + c1) / (variances + c2)
    margin = 5 if min(shape[:2]) >= 11 else 0
    inner = found[margin : shape[0] - margin, margin : shape[1] - margin]
    assert scores.ssim(x, y) == pytest.approx(inner.mean(), abs=1e-5)


@pytest.mark.parametrize("name", ["astronaut", "camera", "coffee", "rocket", "gravel"])
@pytest.mark.parametrize(("sigma", "bias"), [(5, 2), (15, 1.3), (25, 1), (50, 0.6), (100, 0.8)])
def test_estimate_sigma(name: str, sigma: float, bias: float, rng: np.random.Generator) -> None:
    noisy = corruptions.gaussian_noise(samples.photograph(name), sigma, rng)
    assert abs(scores.estimate_sigma(noisy) - sigma) < bias


def test_estimate_sigma_where_areas_are_flat(rng: np.random.Generator) -> None:
    noisy = corruptions.gaussian_noise(np.full((200, 200, 1), 0.5, dtype=np.float32), 20, rng)
    noisy[:120] = 1  # clipped
    assert scores.estimate_sigma(noisy) == pytest.approx(20, rel=0.1)
    drawing = np.ones((200, 200, 1), dtype=np.float32)
    drawing[::20] = 0
    assert scores.estimate_sigma(drawing) == 0
    assert scores.estimate_sigma(np.full((50, 50, 3), 0.3, dtype=np.float32)) == 0
    assert scores.estimate_sigma(random_picture(2, 9, 1)) == 0


@pytest.mark.parametrize("method", [scores.non_local_means, scores.total_variation])
@pytest.mark.parametrize(("sigma", "gain"), [(25, 7), (50, 9)])
def test_classical_methods(
    method: Any, sigma: float, gain: float, rng: np.random.Generator
) -> None:
    for name in ("camera", "astronaut"):
        clean = samples.photograph(name)[100:228, 180:308]
        noisy = corruptions.gaussian_noise(clean, sigma, rng)
        denoised = method(noisy, sigma)
        assert denoised.shape == clean.shape and denoised.dtype == np.float32
        assert scores.psnr(clean, denoised) - scores.psnr(clean, noisy) > gain
        np.testing.assert_array_equal(method(clean, 0), clean)


# --- samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.NAMES)
def test_photographs(name: str) -> None:
    pixels = samples.photograph(name)
    assert pixels.dtype == np.float32 and pixels.shape[2] in (1, 3) and min(pixels.shape[:2]) >= 300
    grey = samples.grey(pixels)
    assert grey.shape == (*pixels.shape[:2], 1) and grey.dtype == np.float32


def test_photograph_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected one of astronaut"):
        samples.photograph("lena")
    monkeypatch.setitem(samples._FILES, "camera", Path("gone.png"))
    with pytest.raises(PictureError, match=r"gone\.png"):
        samples.photograph("camera")


# --- devices -------------------------------------------------------------------------------------


class Foreign(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of another device: it supports NumPy's protocol, but never becomes a NumPy array."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        assert not any(isinstance(a, np.ndarray) for a in inputs), f"{ufunc}: of two devices"
        return wrap(getattr(ufunc, method)(*unwrap(inputs), **unwrap(options)))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        mixed = any(isinstance(a, np.ndarray) for a in args)
        assert not mixed or function is np.asarray, f"{function}: of two devices"
        return wrap(function(*unwrap(args), **unwrap(options)))

    def __getitem__(self, key: Any) -> Any:
        assert not isinstance(key, np.ndarray), "an index has to be on the same device"
        return wrap(self.value[unwrap(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.value[unwrap(key)] = unwrap(value)

    def __iter__(self) -> Any:
        return map(wrap, self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.value, name)
        if callable(found):
            return lambda *args, **options: wrap(found(*unwrap(args), **unwrap(options)))
        return wrap(found)


def wrap(value: Any) -> Any:
    return Foreign(np.asarray(value)) if isinstance(value, np.ndarray | np.generic) else value


def unwrap(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(unwrap, value))
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    return value.value if isinstance(value, Foreign) else value


def foreign_device() -> SimpleNamespace:
    generator = np.random.default_rng(0)

    def draws(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: wrap(method(*args, **options))

    rng = SimpleNamespace(
        standard_normal=draws(generator.standard_normal),
        random=draws(generator.random),
        integers=draws(generator.integers),
    )
    return SimpleNamespace(to=wrap, back=unwrap, rng=rng, kind=Foreign)


def gpu_device() -> SimpleNamespace:
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("no GPU")
    rng = random.generator(0, devices.choose("gpu"))
    return SimpleNamespace(to=cupy.asarray, back=cupy.asnumpy, rng=rng, kind=cupy.ndarray)


@pytest.mark.parametrize("make", [foreign_device, pytest.param(gpu_device, marks=pytest.mark.gpu)])
def test_arrays_stay_on_their_device(
    make: Callable[[], SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = make()
    if device.kind is Foreign:  # a device without kernels uses the reference
        monkeypatch.setattr(kernels, "fold", kernels.reference.fold)
    host = samples.photograph("camera")[200:264, 200:280]
    x = device.to(host)
    noisy = corruptions.gaussian_noise(x, 25, device.rng)
    peppered = corruptions.salt_and_pepper(x, 0.2, device.rng)
    drawn = patches.PatchSampler([host[..., 0]] * 2, 8, like=x).sample(50, device.rng)
    as_given = patches.PatchSampler([x[..., 0]], 8).sample(50, device.rng)
    merged = patches.map_patches(x[..., 0], lambda p: p, size=8, stride=3, batch=50)
    padded = patches.map_patches(x[:3, :5, 0], lambda p: p, size=8, stride=3)
    for array in (noisy, peppered, drawn, as_given, merged, padded, samples.grey(x)):
        assert isinstance(array, device.kind) and array.dtype == np.float32
    np.testing.assert_array_equal(device.back(merged), host[..., 0])
    np.testing.assert_array_equal(device.back(padded), host[:3, :5, 0])
    assert set(device.back(drawn).ravel()) <= set(host.ravel())
    there = device.back(noisy)
    assert scores.psnr(x, noisy) == pytest.approx(scores.psnr(host, there))
    assert scores.psnr(x, noisy, x[..., 0] > 0.3) > 19
    assert scores.estimate_sigma(noisy) == pytest.approx(scores.estimate_sigma(there), rel=1e-4)
