"""The plan of paper 1's pages: weights, pictures, lengths."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.device import CPU, Device
from minidl.models.ssda import Restorer
from minidl.models.ssda.restorer import STRIDE


@dataclass(frozen=True)
class Plan:
    """The options of a page.

    data: the folder with set12, bsd68 and mnist. train: photographs for the ablation, or None.
    minutes: of the ablation, for each recipe. quick: everything in a few minutes, to see that it
    works. publishable: no pictures of collections that may not be published.
    """

    data: Path
    train: Path | None = None
    seed: int = 0
    minutes: float = 2.0
    quick: bool = False
    publishable: bool = False
    device: Device = CPU

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise levels of table 1, in grey levels of 255."""
        return (25.0, 50.0) if self.quick else (25.0, 50.0, 100.0)

    @property
    def count(self) -> int | None:
        """Return the number of pictures of a collection that are used; None for all."""
        return 2 if self.quick else None


@dataclass(frozen=True)
class Weights:
    """A trained model and its file."""

    path: Path
    restorer: Restorer

    @classmethod
    def load(cls, path: Path, device: Device) -> Weights:
        return cls(path, Restorer.load(path, device=device))

    @property
    def name(self) -> str:
        return self.path.stem

    def settings(self) -> dict[str, Any]:
        """Return what results with this model depend on, as JSON types."""
        check = f"{zlib.crc32(self.path.read_bytes()):08x}"
        return {"weights": self.name, "check": check, "stride": STRIDE}
