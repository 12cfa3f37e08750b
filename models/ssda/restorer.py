"""A trained SSDA at work, on pictures of any size, in grey and in colour; and its file."""

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
from minidl.models.images.patches import gaussian_window, map_patches
from minidl.nn.init import Zeros
from minidl.schema import OneOf, Range

from .degradation import Damage, Text
from .network import SSDA
from .patch_coding import Coding, TextCoding
from .text_inpainting import Progress, blend_by_probability, inpaint, keep_unchanged_pixels

STRIDE = 3  # pixels between patches when a picture is repaired
MAX_SCALE = 1.6  # of contrasts in [0, 1]: beyond it the coding cannot express them
WIENER_WINDOW = 11  # pixels: the side of the neighbourhood in which a repair is judged
WINDOW_SPREAD = 0.25  # deviation of the window that merges patches, as a share of a patch's side

# An orthonormal change of colours: grey, red against blue, green against both. White noise stays
# white and of the same strength, and the first channel has most of a photograph's energy.
OPPONENT = np.array(
    [[1 / 3**0.5] * 3, [0.5**0.5, 0, -(0.5**0.5)], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]],
    dtype=np.float32,
)

Patch = Annotated[int, Range(2, 1024)]  # pixels to a side
Hidden = Annotated[tuple[Annotated[int, Range(1, 10**6)], ...], Range(1, 64)]  # units of each layer


def _steps(progress: Progress | None, count: int) -> list[Progress]:
    """Return `count` progresses for steps that follow one another, combined into one.

    Every step counts as many patches as the first.
    """
    first_total: list[int] = []

    def step(k: int, done: int, total: int) -> None:
        if not first_total:
            first_total.append(total)
        (patches,) = first_total
        if progress:
            progress(k * patches + patches * done // max(1, total), count * patches)

    return [functools.partial(step, k) for k in range(count)]


def wiener_mix(noisy: np.ndarray, repaired: np.ndarray, sigma: float) -> np.ndarray:
    """Return a Wiener mix of noisy and repaired (H, W, C): a network trained on stronger noise than
    sigma removes too much.

    Where it removes only noise, the mean square of the change is sigma^2. Where that is larger, the
    repaired picture's error is about the difference, and both pictures are weighted as measurements
    with these errors (Wiener 1949).
    """
    change = (noisy - repaired) ** 2
    mean_square = uniform_filter(change, (WIENER_WINDOW, WIENER_WINDOW, 1))
    weight = np.minimum(1, (sigma / 255) ** 2 / np.maximum(mean_square, 1e-12))
    return noisy + weight * (repaired - noisy)


def _headroom(pixels: np.ndarray) -> float:
    """Return the power of 2 that stretches a picture's contrast to [0, 1]: 1 for most pictures, 16
    for 12 bits in a file of 16.
    """
    contrast = float(np.ptp(pixels))
    return 2.0 ** -math.ceil(math.log2(contrast)) if 0 < contrast < 1 else 1.0


class Restorer:
    """A network, the size and coding of its patches, and the damage that it repairs."""

    def __init__(
        self, network: SSDA, patch: int, coding: Coding | TextCoding, damage: Damage
    ) -> None:
        self.network, self.patch, self.coding, self.damage = network, patch, coding, damage

    def repair_patches(self, patches: Array) -> Array:
        """patches (N, P) -> (N, P), on the device and in the float type of the network.

        A network that predicts only the inner Q pixels of a patch returns (N, Q).
        """
        centres = self.coding.centres(patches)
        return self.coding.pixels(self._output(patches, centres), centres)

    def text_probability(self, patches: Array) -> Array:
        """patches (N, P) -> (N, Q): the probability of text on their inner pixels, 0 to 1."""
        if not isinstance(self.coding, TextCoding):
            raise ValueError("text_probability: this network was not trained to find text")
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
        find_text: bool = False,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """image (H, W) -> (H, W) float32, not clipped.

        scale: contrasts are multiplied by it for the network, then divided again.
        find_text: return the probability of text on each pixel.
        """
        inner = self.coding.inner if isinstance(self.coding, TextCoding) else self.patch
        weights = self.network.parameters()[0].data
        repaired = map_patches(
            np.asarray(image * np.float32(scale), dtype=weights.dtype, like=weights),
            self.text_probability if find_text else self.repair_patches,
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
        use_network_pixels: bool = False,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """pixels (H, W, C) -> the repaired picture (H, W, C) in [0, 1], C = 1 or 3.

        sigma: the noise in grey levels of 255, if it is not that of the training. Contrasts are
            then scaled so that the noise has the trained level.
        use_network_pixels: replace text by the network's prediction, as in the paper. By default
            the network only finds text, and the surroundings are continued smoothly under it.
        progress: called with patches (done, total), of all channels and steps.
        Noise is removed from decorrelated colours, text from red, green and blue. Raises ValueError
        for a sigma out of range.
        """
        if isinstance(self.coding, TextCoding):
            first, second = _steps(progress, 2)
            text = self._repair_channels(pixels, 1.0, stride, first, find_text=True).max(axis=2)
            if not use_network_pixels:
                return np.clip(inpaint(pixels, text, second), 0, 1)
            repaired = self._repair_channels(pixels, 1.0, stride, second)
            return np.clip(blend_by_probability(pixels, repaired, text), 0, 1)
        if isinstance(self.damage, Text):
            repaired = self._repair_channels(pixels, 1.0, stride, progress)
            return np.clip(keep_unchanged_pixels(pixels, repaired), 0, 1)
        known = self.damage.sigma
        sigma = known if sigma is None else sigma
        if not 0 < sigma <= 255:
            raise ValueError(f"sigma {sigma:g}: expected more than 0, at most 255 grey levels")
        mixing = OPPONENT if pixels.shape[-1] == 3 else np.eye(1, dtype=np.float32)
        noisy = pixels @ mixing.T
        scale = min(known / sigma, MAX_SCALE * _headroom(pixels))
        repaired = self._repair_channels(noisy, scale, stride, progress)
        if sigma < known:
            repaired = wiener_mix(noisy, repaired, sigma)
        return np.clip(repaired @ mixing, 0, 1)

    def _repair_channels(
        self,
        pixels: np.ndarray,
        scale: float,
        stride: int,
        progress: Progress | None,
        find_text: bool = False,
    ) -> np.ndarray:
        """Repair each channel of pixels (H, W, C) by itself; progress counts all of them."""
        repaired = np.empty_like(pixels)
        for c, channel_progress in enumerate(_steps(progress, pixels.shape[-1])):
            repaired[..., c] = self.repair_channel(
                pixels[..., c],
                scale=scale,
                stride=stride,
                find_text=find_text,
                progress=channel_progress,
            )
        return repaired

    def filters(self) -> np.ndarray:
        """Return the pattern that each unit of the first layer responds to, (P, H).

        These are the slopes dh/dx at a flat patch: near 0 for a unit that never responds, whatever
        its weights are.
        """
        encoder = self.network.autoencoders[0].encoder
        w, b = to_cpu(encoder.w.data), to_cpu(encoder.b.data)
        h = 1 / (1 + np.exp(-b))
        return w[: self.patch**2] * (h * (1 - h))  # other inputs may follow the pixels

    def about(self) -> dict[str, Any]:
        """Return what `load` needs besides the parameters, as JSON types."""
        hidden = tuple(a.encoder.b.shape[0] for a in self.network.autoencoders)
        description = Description(self.patch, hidden, self.coding, self.damage)
        return {**asdict(description), "hidden": list(hidden)}

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
        description = Description.of(path, about)
        try:
            state = checkpoint.numbers(groups, "model")
            inputs, outputs = description.coding.sizes(description.patch * description.patch)
            network = SSDA(inputs, description.hidden, outputs, rng=Zeros.for_state(state))
            network.load_state(state)
        except ValueError as error:
            raise checkpoint.CheckpointError(
                f"{path}: a damaged ssda checkpoint ({error})"
            ) from error
        network.to(device).freeze_weights()
        return cls(network, description.patch, description.coding, description.damage)


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
