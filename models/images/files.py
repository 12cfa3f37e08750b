"""Pictures in files. Every bad file ends in one clear line, not in a traceback.

`read` converts all formats of Pillow to float32 pixels in [0, 1]. It keeps what a repair must not
lose: transparency, 16-bit depth and the colour profile. `write` writes them back, and replaces a
file only by a complete one. `find` returns the pictures among files and folders. All three raise
PictureError, whose message is one line that starts with the path.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from minidl.files import kind_of, replacing

from . import foreign

# The formats that are read and written, by suffix. GIF and PPM are read, too, with any suffix.
FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
_READABLE = (*dict.fromkeys(FORMATS.values()), "GIF", "PPM")
_HOLDS_ALPHA = ("PNG", "TIFF", "WEBP")
_HOLDS_16_BITS = ("PNG", "TIFF")
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}

_TOO_LARGE = "has too many pixels to be safe to open; expected fewer than 89 million, scale it down"
_MAX_PIXELS_PER_BYTE = 10_000  # of a file: an even white page has fewer
_SMALL_PIXELS = 1 << 24  # a picture of at most this size may have more pixels per byte
_COMPLAINTS: tuple[tuple[type[Exception], str], ...] = (
    (FileNotFoundError, "there is no such file; check the name"),
    (IsADirectoryError, "is a folder; expected one picture file"),
    (PermissionError, "may not be read; check its permissions"),
    (Image.DecompressionBombWarning, _TOO_LARGE),
    (Image.DecompressionBombError, _TOO_LARGE),
    (UnidentifiedImageError, f"is not a picture; expected one of {', '.join(_READABLE)}"),
)


class PictureError(ValueError):
    """A picture cannot be read, written or found; one line that starts with its path."""


@dataclass(frozen=True)
class Picture:
    """pixels (H, W, C) float32, C = 1 or 3; alpha (H, W) float32 or None; bits: 8 or 16; profile:
    an ICC profile of these colours or None."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 8
    profile: bytes | None = None

    def with_pixels(self, pixels: np.ndarray) -> Picture:
        """Return the picture with new pixels and the old transparency, depth and profile."""
        return dataclasses.replace(self, pixels=pixels)


def read(path: str | Path) -> Picture:
    """Read a still picture, rotated as its EXIF orientation says.

    Grey files have C = 1, all others C = 3. Raises PictureError for a missing, empty, damaged,
    animated or too large file, or if it is no picture; MemoryError without enough memory.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings(), foreign.silenced():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            kind = kind_of(path)
            if kind in ("pipe", "socket", "device"):  # it might block forever
                raise PictureError(f"{path}: is a {kind}; expected a picture's file")
            size = os.path.getsize(path)
            if kind == "file" and not size:
                raise PictureError(f"{path}: is empty; expected a picture")
            with Image.open(path, formats=_READABLE) as image:
                frames = getattr(image, "n_frames", 1)
                # An MPO is how phones store a photograph beside its preview: still, not animated.
                if frames > 1 and image.format != "MPO":
                    raise PictureError(
                        f"{path}: has {frames} frames; expected a still picture, save one of them"
                    )
                if image.width * image.height > max(_SMALL_PIXELS, _MAX_PIXELS_PER_BYTE * size):
                    raise PictureError(
                        f"{path}: says that {size} bytes are {image.width}x{image.height} pixels; "
                        "expected a picture that is not all of one colour"
                    )
                return _decode(path, ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error):
            raise MemoryError(f"{path}: there is not enough memory to open it") from error
        # A decoder may raise any error on damaged bytes.
        damage = f"is damaged or of an unknown kind ({_one_line(error)}); export it again as .png"
        reason = next((text for kind, text in _COMPLAINTS if isinstance(error, kind)), damage)
        raise PictureError(f"{path}: {reason}") from error


def write(path: str | Path, picture: Picture | np.ndarray) -> None:
    """Write a picture, or its pixels (H, W, C) or (H, W), in the format that the suffix names.

    An interrupted write leaves the old file unchanged. Pixels are clipped and rounded. PNG and TIFF
    keep 16 bits of grey pictures without transparency; all others are written in 8 bits. Raises
    PictureError if the file cannot be written or would lose transparency.
    """
    path = Path(path)
    kind = check_writable(path)
    picture = picture if isinstance(picture, Picture) else Picture(picture)
    image = _encode(path, kind, picture)
    options = _SAVE_OPTIONS.get(kind, {}) | {"icc_profile": picture.profile}
    try:
        with replacing(path) as temporary:
            image.save(temporary, kind, **options)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or _one_line(error)
        raise PictureError(
            f"{path}: cannot be written ({reason}); check the folder's permissions and free space"
        ) from error


def check_writable(path: str | Path) -> str:
    """Return the format for a file of this name. Raises PictureError without one or its folder."""
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(FORMATS)
        raise PictureError(f"{path}: cannot write {path.suffix!r} files; expected one of {known}")
    if not path.parent.is_dir():
        raise PictureError(f"{path}: there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise PictureError(f"{path}: is a folder; expected the name of a file to write")
    return kind


def find(paths: Iterable[str | Path]) -> list[tuple[Path, Path]]:
    """Return the pictures among files and folders, as (file, relative name).

    The relative name is the path in the folder, or a file's own name; a result has the same path in
    the output folder. Folders are searched with all subfolders; hidden files and other suffixes are
    skipped. Raises PictureError for a missing path, a folder without pictures, or two files of one
    relative name.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in FORMATS and file.name[0] != "." and file.is_file()
            ]
            if not inside:
                raise PictureError(f"{path}: holds no pictures; expected some {', '.join(FORMATS)}")
        elif path.exists():
            inside = [path]
        else:
            raise PictureError(f"{path}: there is no such file or folder; check the name")
        for file in inside:
            name = file.relative_to(path) if file != path else Path(file.name)
            if not found.setdefault(name, file).samefile(file):
                raise PictureError(
                    f"{file}: has the same name as {found[name]}; rename one, or give them apart"
                )
    return [(file, name) for name, file in found.items()]


def subsample(items: Sequence[Any], count: int | None) -> list[Any]:
    """Return `count` of the items at equal distances, or all of them if there are fewer.

    Files of one kind often have similar names and stand together, so the first would not do.
    """
    if count is None or len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).astype(int)]


def _decode(path: Path, image: Image.Image) -> Picture:
    """Convert an upright Pillow image of any mode to a Picture."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        largest = 1.0 if image.mode == "F" else 65535.0
        if not (values.min() >= 0 and values.max() <= largest):  # refuses NaN, too
            raise PictureError(
                f"{path}: has values from {values.min():g} to {values.max():g}; "
                f"expected 0 to {largest:g}, export it as a .png of 8 or 16 bits"
            )
        clear = image.info.get("transparency")  # the one grey value that a PNG shows as clear
        alpha = None if clear is None else (values != clear).astype(np.float32)
        return Picture((values / largest).astype(np.float32)[:, :, None], alpha, bits=16)
    colour = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    kept = image.mode not in ("CMYK", "LAB", "YCbCr", "HSV")  # else the profile is of other colours
    profile = image.info.get("icc_profile") if kept else None
    see_through = image.has_transparency_data
    pixels = np.asarray(image.convert(colour + "A" * see_through), dtype=np.float32)
    pixels /= 255  # in place, to save memory
    if not see_through:
        return Picture(pixels.reshape(image.height, image.width, -1), profile=profile)
    return Picture(pixels[:, :, :-1].copy(), pixels[:, :, -1].copy(), profile=profile)


def _encode(path: Path, kind: str, picture: Picture) -> Image.Image:
    """Convert a Picture to a Pillow image that a file of this kind can hold."""
    pixels = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
        shape = picture.pixels.shape
        raise PictureError(f"{path}: pixels are {shape}; expected (H, W, 1), (H, W, 3) or (H, W)")
    if not np.isfinite(pixels).all():
        raise PictureError(f"{path}: pixels hold NaN or infinity; expected numbers in [0, 1]")
    alpha = picture.alpha
    if alpha is not None and kind not in _HOLDS_ALPHA:
        if alpha.min() < 1:
            raise PictureError(f"{path}: {kind} cannot hold transparency; write a .png instead")
        alpha = None
    deep = picture.bits == 16 and kind in _HOLDS_16_BITS and pixels.shape[2] == 1 and alpha is None
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
    largest, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    levels = (np.clip(pixels, 0, 1).astype(np.float64) * largest + 0.5).astype(dtype)
    return Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
