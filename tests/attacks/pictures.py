"""Mutated pictures and masks: they are refused in one line, or read, written and read again."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from minidl.models.context_encoder.masks import from_picture
from minidl.models.images.files import PictureError, read, write

SUFFIXES = {
    "PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "WEBP": ".webp", "GIF": ".gif",
    "BMP": ".bmp", "DIB": ".bmp", "PPM": ".ppm",
}  # fmt: skip
NASTY = [0, 1, 2, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 60000]
CHUNKS = [
    b"tRNS", b"PLTE", b"gAMA", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"tEXt", b"zTXt",
    b"iTXt", b"pHYs", b"sRGB", b"cHRM",
]  # fmt: skip
BOMBS = (2, 64, 300)  # MiB of zeros in a chunk
Made = tuple[str, bytes]  # format, content


def prepare(folder: Path) -> list[Made]:
    """Make good pictures of every kind that this Pillow can write."""
    for size in BOMBS:
        _zeros(size)
    return list(_originals())


def _originals() -> Iterator[Made]:
    chance = np.random.default_rng(1)

    def noise(*shape: int) -> Image.Image:
        return Image.fromarray(chance.integers(0, 256, shape, dtype=np.uint8))

    rgb, grey, clear, grey_clear = (
        noise(24, 31, 3),
        noise(24, 31),
        noise(24, 31, 4),
        noise(24, 31, 2),
    )
    deep = Image.fromarray(chance.integers(0, 65536, (24, 31)).astype(np.uint16))
    table, black = rgb.convert("P"), grey.convert("1")
    words = PngImagePlugin.PngInfo()
    words.add_text("a", "b" * 50)
    words.add_text("z", "q" * 500, zip=True)
    words.add_itxt("i", "x" * 300, zip=True)
    turned = Image.Exif()
    turned[0x112], turned[0x10E] = 6, "hello"
    wanted: list[tuple[str, Image.Image, dict[str, Any]]] = [
        *(("PNG", image, {}) for image in (rgb, grey, clear, grey_clear, deep, table, black)),
        ("PNG", table, {"transparency": 3}), ("PNG", grey, {"transparency": 7}),
        ("PNG", rgb, {"transparency": (1, 2, 3)}), ("PNG", deep, {"transparency": 77}),
        ("PNG", rgb, {"pnginfo": words, "exif": turned, "dpi": (72, 72)}),
        ("PNG", rgb, {"save_all": True, "append_images": [rgb]}),
        *(("JPEG", image, {}) for image in (rgb, grey, rgb.convert("CMYK"))),
        ("JPEG", rgb, {"progressive": True, "exif": turned}),
        ("MPO", rgb, {"save_all": True, "append_images": [rgb]}),
        *(
            ("TIFF", image, {"compression": how})
            for how in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma")
            for image in (rgb, grey, clear)
        ),
        *(
            ("TIFF", image, {})
            for image in (
                deep, grey.convert("I"), grey.convert("F").point(lambda v: v / 255),
                rgb.convert("CMYK"), rgb.convert("LAB"), rgb.convert("YCbCr"), black, table,
            )
        ),
        ("TIFF", black, {"compression": "group4"}), ("TIFF", black, {"compression": "group3"}),
        ("TIFF", rgb, {"save_all": True, "append_images": [rgb]}),
        ("TIFF", rgb, {"big_tiff": True}),
        *(
            ("WEBP", image, how)
            for how in ({}, {"lossless": True}, {"exif": turned})
            for image in (rgb, clear)
        ),
        ("GIF", table, {}), ("GIF", table, {"transparency": 2}),
        ("GIF", table, {"save_all": True, "append_images": [grey.convert("P")]}),
        *(("BMP", image, {}) for image in (rgb, grey, clear, table, black)), ("DIB", rgb, {}),
        *(("PPM", image, {}) for image in (rgb, grey, black, deep, grey.convert("F"))),
    ]  # fmt: skip
    for kind, image, options in wanted:
        content = io.BytesIO()
        try:
            image.save(content, kind, **options)
        except (OSError, ValueError, KeyError, TypeError):  # this Pillow has no such encoder
            continue
        yield kind, content.getvalue()
    yield "PPM", b"P3\n3 2\n255\n" + b" ".join(b"%d" % v for v in range(18))
    yield "PPM", b"Pf\n3 2\n-1.0\n" + np.full(6, np.nan, np.float32).tobytes()


def case(originals: list[Made], work: Path, random: random.Random) -> tuple[str, list[str]]:
    kind, content = random.choice(originals)
    content = mutated(random, kind, content, originals)
    suffix = SUFFIXES[kind] if random.random() < 0.8 else random.choice(list(SUFFIXES.values()))
    path, again = work / f"picture{suffix}", work / "again.png"
    path.write_bytes(content)
    try:
        picture = read(path)
        from_picture(path, picture.pixels.shape[:2])
    except PictureError as error:
        return "refused", refusal(error, path)
    pixels, alpha = picture.pixels, picture.alpha
    if pixels.dtype != np.float32 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        return "read", [f"pixels are {pixels.dtype} {pixels.shape}"]
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        return "read", [f"pixels from {pixels.min()} to {pixels.max()}"]
    if alpha is not None and not (alpha.shape == pixels.shape[:2] and 0 <= alpha.min() <= 1):
        return "read", [f"alpha is {alpha.shape}"]
    try:
        write(again, picture)
        if read(again).pixels.shape != pixels.shape:
            return "read", ["written and read again it has another shape"]
    except PictureError as error:
        return "read", [f"what was read cannot be written and read: {error}"]
    left = [file.name for file in work.iterdir() if file.name.startswith(".")]
    return "read", [f"left in the folder: {left}"] if left else []


def refusal(error: Exception, path: Path) -> list[str]:
    """Return the fault of an error message: it must be one short line that starts with the path,
    without escape sequences of the file."""
    said = str(error).removeprefix(str(path))
    if said == str(error):
        return [f"the refusal does not start with the path: {error}"]
    if len(said) > 600 or "\n" in said:
        return [f"a refusal of {len(said)} characters: {said[:300]!r}"]
    return []


def mutated(random: random.Random, kind: str, content: bytes, originals: list[Made]) -> bytes:
    """Return the file with one kind of damage."""
    data = bytearray(content)
    at, end = random.randrange(len(data)), len(data)
    damages = [
        "bits",
        "bytes",
        "head",
        "cut",
        "insert",
        "delete",
        "double",
        "splice",
        "word",
        "none",
    ]
    damage = random.choice(damages + ["chunk", "chunk", "chunk", "bomb"] * (kind == "PNG"))
    if damage == "bits":
        for _ in range(random.choice([1, 1, 2, 4, 16])):
            data[random.randrange(end)] ^= 1 << random.randrange(8)
    elif damage in ("bytes", "head"):
        for _ in range(random.choice([1, 2, 8, 40])):
            place = random.randrange(min(64, end) if damage == "head" else end)
            data[place] = random.choice([0, 1, 127, 128, 255, random.randrange(256)])
    elif damage == "cut":
        del data[at:]
    elif damage == "insert":
        data[at:at] = random.randbytes(random.choice([1, 4, 100]))
    elif damage == "delete":
        del data[at : at + random.choice([1, 2, 4, 50])]
    elif damage == "double":
        data[at:at] = data[at : at + random.randrange(1, 200)]
    elif damage == "splice":
        other = random.choice(originals)[1]
        data[at:] = other[random.randrange(len(other)) :]
    elif damage == "word":
        size, code = random.choice([(4, "I"), (2, "H")])
        place = random.randrange(max(1, min(end - size, random.choice([64, end]))))
        value = random.choice(NASTY) & (256**size - 1)
        data[place : place + size] = struct.pack(random.choice("<>") + code, value)
    elif damage == "chunk":
        return _joined(_changed(random, _chunks(content)))
    elif damage == "bomb":
        chunks = _chunks(content)
        zeros = _zeros(random.choice(BOMBS))
        name = random.choice([b"zTXt", b"iCCP", b"iTXt"])
        head = b"k\0\1\0\0\0" if name == b"iTXt" else b"k\0\0"
        chunks.insert(random.choice([1, len(chunks) - 1]), (name, head + zeros))
        return _joined(chunks)
    return bytes(data)


def _changed(random: random.Random, chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return a PNG file with one chunk changed, doubled, lost, moved, resized or foreign."""
    at = random.randrange(len(chunks))
    name, content = chunks[at]
    change = random.randrange(6)
    if change == 0 and content:
        data = bytearray(content)
        for _ in range(random.choice([1, 3])):
            data[random.randrange(len(data))] = random.choice([0, 255, random.randrange(256)])
        chunks[at] = (name, bytes(data))
    elif change == 1:
        chunks.insert(random.randrange(len(chunks) + 1), (name, content))
    elif change == 2:
        del chunks[at]
    elif change == 3:
        size = struct.pack(">II", random.choice(NASTY), random.choice(NASTY))
        chunks[0] = (b"IHDR", size + chunks[0][1][8:])
    elif change == 4:
        random.shuffle(chunks)
    else:
        content = random.randbytes(random.choice([0, 1, 4, 13, 26, 300]))
        chunks.insert(1, (random.choice(CHUNKS), content))
    return chunks


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at + 8 <= len(content):
        length = struct.unpack(">I", content[at : at + 4])[0]
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


@functools.cache
def _zeros(mebibytes: int) -> bytes:
    """Return some MiB of zeros, compressed."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packer.flush()


def _joined(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c))
        for name, c in chunks
    )
