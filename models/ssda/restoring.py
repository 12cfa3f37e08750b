"""A trained SSDA at work: whole pictures of any size, in grey and in colour, and its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minidl import checkpoint, no_grad
from minidl.device import CPU, Array, Device, to_cpu
from models.images.patches import gaussian_window, restore

from .damage import Damage, Noise, as_dict, from_dict
from .network import SSDA, Coding

STRIDE = 3  # pixels between patches when a picture is repaired
WINDOW_SPREAD = 0.25  # deviation of the window that merges patches, in parts of a patch

# An orthonormal change of colours: grey, red against blue, green against both. It leaves white
# noise white and of the same strength, and gathers most of a photograph in its first channel.
OPPONENT = np.array(
    [[1 / 3**0.5] * 3, [0.5**0.5, 0, -(0.5**0.5)], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]],
    dtype=np.float32,
)

Progress = Callable[[int, int], None]  # called with patches (done, total), of all channels


class Restorer:
    """A network, the size and coding of its patches, and the damage that it undoes."""

    def __init__(self, network: SSDA, patch: int, coding: Coding, damage: Damage) -> None:
        self.network, self.patch, self.coding, self.damage = network, patch, coding, damage

    def repair_patches(self, patches: Array) -> Array:
        """patches (N, P) -> (N, P), on the device and in the float type of the network."""
        centres = self.coding.centres(patches)
        with no_grad():
            output = self.network(self.coding.input(patches, centres)).data
        return self.coding.pixels(output, centres)

    def repair_channel(
        self,
        image: np.ndarray,
        *,
        scale: float = 1.0,
        stride: int = STRIDE,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """image (H, W) -> (H, W) float32, not clipped.

        scale: contrasts are multiplied by it on the way in and divided on the way out. Noise of
        another level than the network's is thus brought to the level that it knows.
        """
        window = gaussian_window(self.patch, spread=WINDOW_SPREAD)
        weights = self.network.parameters()[0].data
        repaired = restore(
            np.asarray(image * np.float32(scale), dtype=weights.dtype, like=weights),
            self.repair_patches,
            size=self.patch,
            stride=min(stride, self.patch),
            window=window,
            progress=progress,
        )
        return to_cpu(repaired) / np.float32(scale)

    def repair(
        self,
        pixels: np.ndarray,
        *,
        sigma: float | None = None,
        stride: int = STRIDE,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """pixels (H, W, C) -> the repaired picture (H, W, C) in [0, 1], C = 1 or 3.

        sigma: the picture's noise in grey levels of 255, if it is not what the network was trained
        on. Noise is taken out of colours that are independent of each other, text out of red, green
        and blue. Raises ValueError for a sigma that makes no sense.
        """
        scale, mixing = 1.0, np.eye(pixels.shape[-1], dtype=np.float32)
        if isinstance(self.damage, Noise):
            if sigma is not None and not 0 < sigma <= 255:
                raise ValueError(
                    f"sigma {sigma:g}: expected more than 0 and at most 255 grey levels"
                )
            scale = self.damage.sigma / sigma if sigma else 1.0
            mixing = OPPONENT if pixels.shape[-1] == 3 else mixing
        channels = pixels @ mixing.T
        count = pixels.shape[-1]
        for c in range(count):

            def progress_of_all(done: int, total: int, c: int = c) -> None:
                if progress:
                    progress(c * total + done, count * total)

            channels[..., c] = self.repair_channel(
                channels[..., c], scale=scale, stride=stride, progress=progress_of_all
            )
        return np.clip(channels @ mixing, 0, 1)

    def about(self) -> dict[str, Any]:
        """What `load` needs besides the parameters; fit for JSON."""
        hidden = [a.encoder.b.shape[0] for a in self.network.autoencoders]
        return {
            "model": "ssda",
            "patch": self.patch,
            "hidden": hidden,
            "coding": asdict(self.coding),
            "damage": as_dict(self.damage),
        }

    def save(self, path: str | Path, *, dtype: Any = np.float32, **more: Any) -> None:
        """Write the network's file; `more` is kept beside what `load` needs."""
        state = {k: to_cpu(v).astype(dtype) for k, v in self.network.state().items()}
        checkpoint.save(path, {"model": state}, {**self.about(), **more})

    @classmethod
    def load(cls, path: str | Path, *, device: Device = CPU) -> Restorer:
        """Raises CheckpointError for a file that is missing, damaged, or of another model."""
        return cls.from_state(path, *checkpoint.load(path), device=device)

    @classmethod
    def from_state(
        cls,
        path: str | Path,
        groups: dict[str, dict[str, np.ndarray]],
        about: dict[str, Any],
        *,
        device: Device = CPU,
    ) -> Restorer:
        """As `load`, from what `checkpoint.load` gave."""
        if about.get("model") != "ssda":
            raise checkpoint.CheckpointError(
                f"{path}: holds a model of kind {about.get('model')!r}; expected 'ssda'"
            )
        try:
            patch, coding = about["patch"], Coding(**about["coding"])
            network = SSDA(patch * patch, about["hidden"], rng=np.random.default_rng(0))
            network.load_state(groups["model"])
            restorer = cls(network, patch, coding, from_dict(about["damage"]))
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(
                f"{path}: a damaged ssda checkpoint ({error})"
            ) from error
        restorer.network.to(device)
        return restorer
