"""A trained SSDA at work: whole pictures of any size, in grey and in colour, and its file."""

from __future__ import annotations

import functools
import math
import reprlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from scipy.ndimage import uniform_filter

from minidl import checkpoint, no_grad, schema
from minidl.device import CPU, Array, Device, to_cpu
from minidl.models.images.patches import gaussian_window, restore
from minidl.nn.init import Zeros
from minidl.schema import OneOf, Range

from .degradation import Damage, Text
from .network import SSDA
from .patch_coding import Coding, TextCoding
from .text_inpainting import Progress, fill, keep_untouched, uncover

STRIDE = 3  # pixels between patches when a picture is repaired
LARGEST_SCALE = 1.6  # contrasts of [0, 1] enlarged by more leave what the coding can express
TRUST_WINDOW = 11  # pixels to a side of the neighbourhood in which a repair is judged
WINDOW_SPREAD = 0.25  # deviation of the window that merges patches, in parts of a patch

# An orthonormal change of colours: grey, red against blue, green against both. It leaves white
# noise white and of the same strength, and gathers most of a photograph in its first channel.
OPPONENT = np.array(
    [[1 / 3**0.5] * 3, [0.5**0.5, 0, -(0.5**0.5)], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]],
    dtype=np.float32,
)

Patch = Annotated[int, Range(2, 1024)]  # pixels to a side
Hidden = Annotated[tuple[Annotated[int, Range(1, 10**6)], ...], Range(1, 64)]  # units of each layer


def _steps(progress: Progress | None, count: int) -> list[Progress]:
    """A progress for each of so many steps that follow each other, all of which count as many
    patches as the first."""
    of_first: list[int] = []

    def step(k: int, done: int, total: int) -> None:
        if not of_first:
            of_first.append(total)
        (patches,) = of_first
        if progress:
            progress(k * patches + patches * done // max(1, total), count * patches)

    return [functools.partial(step, k) for k in range(count)]


def trust(noisy: np.ndarray, repaired: np.ndarray, sigma: float) -> np.ndarray:
    """A mixture of both (H, W, C): a network that is used to more noise than sigma takes too much.

    Where it takes noise alone, the square of what it takes is sigma^2 in the mean. Where it is
    more, the repaired picture has an error of about the difference, and noisy and repaired are
    weighted as two measurements with those errors are (Wiener 1949).
    """
    taken = (noisy - repaired) ** 2
    around = uniform_filter(taken, (TRUST_WINDOW, TRUST_WINDOW, 1))
    weight = np.minimum(1, (sigma / 255) ** 2 / np.maximum(around, 1e-12))
    return noisy + weight * (repaired - noisy)


def _headroom(pixels: np.ndarray) -> float:
    """By what power of 2 a picture's contrasts can be multiplied until it fills [0, 1]: 1 for most,
    16 for 12 bits in a file of 16."""
    contrast = float(np.ptp(pixels))
    return 2.0 ** -math.ceil(math.log2(contrast)) if 0 < contrast < 1 else 1.0


class Restorer:
    """A network, the size and coding of its patches, and the damage that it undoes."""

    def __init__(
        self, network: SSDA, patch: int, coding: Coding | TextCoding, damage: Damage
    ) -> None:
        self.network, self.patch, self.coding, self.damage = network, patch, coding, damage

    def repair_patches(self, patches: Array) -> Array:
        """patches (N, P) -> (N, P), on the device and in the float type of the network.

        Where the network answers for the inner Q pixels of a patch alone, (N, Q).
        """
        centres = self.coding.centres(patches)
        return self.coding.pixels(self._output(patches, centres), centres)

    def find_patches(self, patches: Array) -> Array:
        """patches (N, P) -> (N, Q): how surely text lies on their inner pixels, 0 to 1."""
        if not isinstance(self.coding, TextCoding):
            raise ValueError("find_patches: this network was not trained to find text")
        return self.coding.text(self._output(patches, self.coding.centres(patches)))

    def _output(self, patches: Array, centres: Array) -> Array:
        with no_grad():
            return self.network(self.coding.input(patches, centres)).data

    def repair_channel(
        self,
        image: np.ndarray,
        *,
        scale: float = 1.0,
        stride: int = STRIDE,
        find: bool = False,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """image (H, W) -> (H, W) float32, not clipped.

        scale: contrasts are multiplied by it on the way in and divided on the way out.
        find: the answer is how surely text lies on each pixel.
        """
        inner = self.coding.inner if isinstance(self.coding, TextCoding) else self.patch
        weights = self.network.parameters()[0].data
        repaired = restore(
            np.asarray(image * np.float32(scale), dtype=weights.dtype, like=weights),
            self.find_patches if find else self.repair_patches,
            size=self.patch,
            stride=min(stride, inner),
            inner=inner,
            window=gaussian_window(inner, spread=WINDOW_SPREAD),
            progress=progress,
        )
        return to_cpu(repaired) / np.float32(scale)

    def repair(
        self,
        pixels: np.ndarray,
        *,
        sigma: float | None = None,
        stride: int = STRIDE,
        alone: bool = False,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """pixels (H, W, C) -> the repaired picture (H, W, C) in [0, 1], C = 1 or 3.

        alone: what the network finds under text is put there, which is the paper's way; without it
        the network only says where text is, and the smooth surface around that goes on beneath.
        progress: called with patches (done, total), of all channels and steps.
        sigma: the picture's noise in grey levels of 255, if it is not what the network was trained
        on. Contrasts are then scaled so that the noise has the level that the network knows. Noise
        is taken out of colours that are independent of each other, text out of red, green and blue.
        Raises ValueError for a sigma that makes no sense.
        """
        if isinstance(self.coding, TextCoding):
            first, second = _steps(progress, 2)
            text = self._repair_channels(pixels, 1.0, stride, first, find=True).max(axis=2)
            if not alone:
                return np.clip(fill(pixels, text, second), 0, 1)
            repaired = self._repair_channels(pixels, 1.0, stride, second)
            return np.clip(uncover(pixels, repaired, text), 0, 1)
        if isinstance(self.damage, Text):
            repaired = self._repair_channels(pixels, 1.0, stride, progress)
            return np.clip(keep_untouched(pixels, repaired), 0, 1)
        known = self.damage.sigma
        sigma = known if sigma is None else sigma
        if not 0 < sigma <= 255:
            raise ValueError(f"sigma {sigma:g}: expected more than 0, at most 255 grey levels")
        mixing = OPPONENT if pixels.shape[-1] == 3 else np.eye(1, dtype=np.float32)
        noisy = pixels @ mixing.T
        scale = min(known / sigma, LARGEST_SCALE * _headroom(pixels))
        repaired = self._repair_channels(noisy, scale, stride, progress)
        if sigma < known:
            repaired = trust(noisy, repaired, sigma)
        return np.clip(repaired @ mixing, 0, 1)

    def _repair_channels(
        self,
        pixels: np.ndarray,
        scale: float,
        stride: int,
        progress: Progress | None,
        find: bool = False,
    ) -> np.ndarray:
        """Each channel of pixels (H, W, C) repaired on its own; progress counts them all."""
        repaired = np.empty_like(pixels)
        for c, of_channel in enumerate(_steps(progress, pixels.shape[-1])):
            repaired[..., c] = self.repair_channel(
                pixels[..., c], scale=scale, stride=stride, find=find, progress=of_channel
            )
        return repaired

    def filters(self) -> np.ndarray:
        """Return the pattern that each unit of the first layer responds to, (P, H): its slopes
        dh/dx at a flat patch. A unit that never responds has slopes near 0, whatever its weights
        are.
        """
        encoder = self.network.autoencoders[0].encoder
        w, b = to_cpu(encoder.w.data), to_cpu(encoder.b.data)
        h = 1 / (1 + np.exp(-b))
        return w[: self.patch**2] * (h * (1 - h))  # there may be other inputs after the pixels

    def about(self) -> dict[str, Any]:
        """Return what `load` needs besides the parameters, as JSON types."""
        hidden = tuple(a.encoder.b.shape[0] for a in self.network.autoencoders)
        said = Description(self.patch, hidden, self.coding, self.damage)
        return {**asdict(said), "hidden": list(hidden)}

    def save(self, path: str | Path, *, dtype: Any = np.float32, **more: Any) -> None:
        """Write the network's file; `more` is kept beside what `load` needs."""
        state = {k: to_cpu(v).astype(dtype) for k, v in self.network.state().items()}
        checkpoint.save(path, {"model": state}, {**self.about(), **more})

    @classmethod
    def load(cls, path: str | Path, *, device: Device = CPU) -> Restorer:
        """Load a restorer for use.

        Its network is `freeze_weights`, so it cannot be trained further.

        Raises CheckpointError for a file that is missing, damaged, or of another model.
        """
        groups, about = checkpoint.load(path)
        said = Description.of(path, about)
        try:
            state = checkpoint.numbers(groups, "model")
            inputs, outputs = said.coding.sizes(said.patch * said.patch)
            network = SSDA(inputs, said.hidden, outputs, rng=Zeros.for_state(state))
            network.load_state(state)
        except ValueError as error:
            raise checkpoint.CheckpointError(
                f"{path}: a damaged ssda checkpoint ({error})"
            ) from error
        network.to(device).freeze_weights()
        return cls(network, said.patch, said.coding, said.damage)


@dataclass(frozen=True)
class Description:
    """The description of the network in a file."""

    model: Annotated[str, OneOf("ssda")] = field(default="ssda", init=False)
    patch: Patch
    hidden: Hidden
    coding: Coding | TextCoding
    damage: Damage

    @classmethod
    def of(cls, path: str | Path, about: dict[str, Any]) -> Description:
        """Return the description in a checkpoint. Raises CheckpointError, which names the file."""
        if about.get("model") != "ssda":
            kind = reprlib.repr(about.get("model"))
            raise checkpoint.CheckpointError(
                f"{path}: holds a model of kind {kind}; expected 'ssda'"
            )
        try:
            return schema.read_part(cls, about, "description")
        except ValueError as error:
            raise checkpoint.CheckpointError(
                f"{path}: a damaged ssda checkpoint ({error})"
            ) from error
