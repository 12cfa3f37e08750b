"""The data of the papers' pages: grey pictures of known collections, handwritten digits.

Every collection is a folder in `--data`. The page names those that are missing.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl.models.images.files import find, read
from minidl.models.images.samples import grey, photograph

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
PAPER_PICTURES = ("lena", "barbara", "boat", "peppers")  # of set12; the paper adds "etc."


class ReproduceError(RuntimeError):
    """There are no data, or no folder to write to. The message is one line."""


class MissingError(RuntimeError):
    """A section's data or an optional package is missing; the message says which."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A clean picture: its file's name, pixels (H, W, C), grey in the collections."""

    name: str
    pixels: np.ndarray

    @property
    def key(self) -> str:
        """The name with a checksum of the pixels, the key of results."""
        return f"{self.name} {zlib.crc32(np.ascontiguousarray(self.pixels).tobytes()):08x}"

    def rng(self, seed: int) -> np.random.Generator:
        """Return the generator of this picture's damage, the same as in `minidl evaluate`."""
        return np.random.default_rng((seed, zlib.crc32(self.name.encode())))

    def of_paper(self) -> bool:
        """Return whether it is one of the four pictures that the paper names."""
        return any(name in self.name.lower() for name in PAPER_PICTURES)


def collection(data: Path, name: str) -> list[Picture]:
    """Return the pictures of a collection by name. Raises MissingError without its folder."""
    folder = data / name
    if not folder.is_dir():
        raise MissingError(f"the folder {name} is not in the data")
    return [Picture(str(short), grey(read(path).pixels)) for path, short in find([folder])]


def photographs(side: int, *, colour: bool) -> list[Picture]:
    """Return the middles of photographs of scikit-image, (side, side, C).

    No weights of the package were trained on them.
    """
    pictures = []
    for name in PHOTOGRAPHS:
        pixels = photograph(name)
        top, left = ((n - side) // 2 for n in pixels.shape[:2])
        middle = pixels[top : top + side, left : left + side]
        pictures.append(Picture(f"{name}.png", middle if colour else grey(middle)))
    return pictures


def shortened(pictures: list[Picture], count: int | None) -> list[Picture]:
    """Return `count` pictures in their order: the paper's own before others, small ones first."""
    first = sorted(pictures, key=lambda p: (not p.of_paper(), p.pixels.size))[:count]
    return [p for p in pictures if p in first]


def digits(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return MNIST's 10,000 test digits, (N, 784) float32 in [0, 1], and their labels, (N,).

    Raises MissingError if the files are missing, ReproduceError if they are damaged.
    """
    images = _idx(data / "mnist", "t10k-images-idx3-ubyte", 3)
    labels = _idx(data / "mnist", "t10k-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise ReproduceError(f"mnist: {len(images)} digits, but {len(labels)} labels")
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels


def _idx(folder: Path, name: str, axes: int) -> np.ndarray:
    """Read an IDX file of bytes: 0, 0, 8, axes, then the size of each axis, big-endian."""
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            break
    else:
        raise MissingError(f"the folder mnist with {name}.gz is not in the data")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix else path.read_bytes()
        start = 4 + 4 * axes
        shape = np.frombuffer(content[4:start], ">u4").tolist()
        if content[:4] != bytes([0, 0, 8, axes]):
            raise ValueError("wrong first bytes")
        return np.frombuffer(content[start:], np.uint8).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ReproduceError(f"{path}: not an IDX file of bytes ({error})") from error
