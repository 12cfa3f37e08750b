"""Codings: from patches of pixels to a network's inputs and targets, and from outputs to pixels.

Damaged patches x and clean ones y are (N, P): squares of P pixels in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from minidl import schema
from minidl.device import Array
from minidl.schema import OneOf, Range

Scale = Annotated[float, Range(1e-6, 1e6)]
Margin = Annotated[float, Range(0, 0.5, below=True)]


@dataclass(frozen=True)
class Coding:
    """A coding of patches without their mean.

    The damaged patch's mean is subtracted, and added again at the end, so that a network need not
    learn every structure again at each brightness. Targets are scaled around 1/2, well inside the
    range of a sigmoid. The paper feeds the pixels themselves: `centre=None`.
    """

    centre: Annotated[str | None, OneOf("mean")] = "mean"  # the value to subtract; None: 0
    gain: Scale = 6.0  # input = gain (x - centre)
    contrast: Scale = 0.6  # target = 1/2 + contrast (y - centre), clipped to margin and 1 - margin
    margin: Margin = 0.02

    def __post_init__(self) -> None:
        schema.check(self)

    def sizes(self, pixels: int) -> tuple[int, int]:
        """Return the numbers of inputs and outputs of a network for patches of `pixels` pixels."""
        return pixels, pixels

    def centres(self, x: Array) -> Array:
        """Return the values that are subtracted from the patches x (N, P): (N, 1)."""
        return np.mean(x, axis=1, keepdims=True) if self.centre else x[:, :1] * 0

    def input(self, x: Array, centres: Array) -> Array:
        """Return the network's input (N, P) for the damaged patches x. centres: `centres(x)`."""
        if not self.centre:
            return x
        found = x - centres
        found *= self.gain  # in place: new memory costs more than the arithmetic
        return found

    def target(self, x: Array, y: Array, centres: Array) -> Array:
        """Return the network's target (N, P) for the damaged patches x and the clean ones y."""
        if not self.centre:
            return y
        return np.clip(0.5 + self.contrast * (y - centres), self.margin, 1 - self.margin)

    def pixels(self, output: Array, centres: Array) -> Array:
        """Decode a network's output (N, P) to pixels (N, P). centres (N, 1): of the inputs."""
        if not self.centre:
            return output
        found = output - 0.5
        found /= self.contrast
        found += centres
        return found


@dataclass(frozen=True)
class TextCoding:
    """A coding of patches with text. For the inner square of each patch, inner x inner = Q pixels,
    the network predicts the probability of text and the pixels under it.

    Letters are exactly black or white, and even. After the median is subtracted, this is no longer
    visible. So each pixel has two more inputs: whether it is white or black, and how even it is.
    """

    inner: Annotated[int, Range(1, 1024)] = 8  # pixels, the side of the inner square
    gain: Scale = 6.0  # first inputs = gain (x - median)
    extreme: Scale = 0.02  # distance to 0 or 1 that counts as black or white
    even: Scale = 0.01  # difference of neighbours that count as even
    visible: Annotated[float, Range(0, 1)] = 0.03  # text that changes a pixel less is ignored
    contrast: Scale = 0.6  # target = 1/2 + contrast (y - median), clipped to margin and 1 - margin
    margin: Margin = 0.02

    def __post_init__(self) -> None:
        schema.check(self)

    def sizes(self, pixels: int) -> tuple[int, int]:
        """Return the numbers of inputs and outputs of a network for patches of `pixels` pixels."""
        rim, odd = divmod(math.isqrt(pixels) - self.inner, 2)
        if rim < 0 or odd:
            raise ValueError(
                f"a patch of {math.isqrt(pixels)} pixels; expected an even number more than the "
                f"{self.inner} in its middle that are repaired"
            )
        return 3 * pixels, 2 * self.inner**2

    def centres(self, x: Array) -> Array:
        """Return the medians of the patches x (N, P): (N, 1). Text changes them less than means."""
        return np.median(x, axis=1, keepdims=True)

    def input(self, x: Array, centres: Array) -> Array:
        """Return the input (N, 3 P) for the patches x (N, P): pixels, white or black, evenness."""
        white = np.exp((x - 1) / self.extreme) - np.exp(-x / self.extreme)
        side = math.isqrt(x.shape[1])
        squares, even = x.reshape(-1, side, side), np.zeros_like(x)
        even_squares = even.reshape(squares.shape)  # a view
        even_squares[:, :, 1:] = np.exp(-abs(np.diff(squares, axis=2)) / self.even)
        even_squares[:, 1:] += np.exp(-abs(np.diff(squares, axis=1)) / self.even)
        return np.concatenate([self.gain * (x - centres), white, even], axis=1)

    def target(self, x: Array, y: Array, centres: Array) -> Array:
        """Return the target (N, 2 Q) for damaged patches x and clean y: text, then pixels."""
        x, y = self._middle(x), self._middle(y)
        text = (abs(x - y) > self.visible).astype(x.dtype)
        both = np.concatenate([text, 0.5 + self.contrast * (y - centres)], axis=1)
        return np.clip(both, self.margin, 1 - self.margin)

    def text(self, output: Array) -> Array:
        """Decode an output (N, 2 Q) to the probability of text on the inner pixels, (N, Q)."""
        probability = (np.split(output, 2, axis=1)[0] - self.margin) / (1 - 2 * self.margin)
        return np.clip(probability, 0, 1)

    def pixels(self, output: Array, centres: Array) -> Array:
        """Decode a network's output (N, 2 Q) to the inner pixels without the text, (N, Q)."""
        return (np.split(output, 2, axis=1)[1] - 0.5) / self.contrast + centres

    def _middle(self, x: Array) -> Array:
        """Return the inner pixels of patches: (N, P) -> (N, Q)."""
        side = math.isqrt(x.shape[1])
        rim = (side - self.inner) // 2
        inner = slice(rim, rim + self.inner)
        return x.reshape(-1, side, side)[:, inner, inner].reshape(len(x), -1)
