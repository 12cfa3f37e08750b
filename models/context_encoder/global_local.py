"""Global and local discriminators (Iizuka, Simo-Serra & Ishikawa, SIGGRAPH 2017).

The local part sees the square of the hole, as in the paper; the global part sees the full image
with the square in it. One layer judges the features of both.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from minidl import Tensor, nn, ops
from minidl.device import Array

from .data import Batch, Photographs
from .networks import Architecture, Channels, by_name
from .trainer import Settings, Trainer


class GlobalLocal(nn.Module):
    """picture (N, 2 S, 2 S, 3) and its square (N, S, S, 3) -> 1 logit, above 0 for real."""

    def __init__(self, c: Channels, *, side: int, rng: np.random.Generator) -> None:
        def tower(steps: list[int], inputs: int) -> nn.Sequential:
            widths = [3, *map(c, steps)]
            layers: list[nn.Module] = []
            for before, after in itertools.pairwise(widths):
                conv = nn.Conv2D(before, after, kernel_size=3, stride=2, rng=rng)
                layers += [conv, nn.LeakyReLU()]
            numbers = (inputs // 2 ** len(steps)) ** 2 * c(steps[-1])
            return nn.Sequential(
                *layers, nn.Flatten(), nn.Linear(numbers, c(256), rng=rng), nn.LeakyReLU()
            )

        self.of_picture = tower([24, 24, 48, 96, 128], 2 * side)
        self.of_square = tower([24, 48, 96, 128], side)
        self.last = nn.Linear(2 * c(256), 1, rng=rng)

    def forward(self, picture: Tensor | Array, square: Tensor | Array) -> Tensor:
        features = self.of_picture(picture), self.of_square(square)
        return self.last(ops.concatenate(*features, axis=1))


class GlobalLocalTrainer(Trainer):
    """A trainer for holes in the centre whose discriminator is a `GlobalLocal`."""

    def __init__(
        self,
        settings: Settings,
        photographs: Photographs,
        *,
        architecture: Architecture | None = None,
        **options: Any,
    ) -> None:
        if settings.mask != "centre":
            raise ValueError(
                f"global and local discriminators: mask {settings.mask!r}, expected 'centre'"
            )
        pair = architecture or by_name(settings.net)
        if pair.size != 2 * pair.hole:
            raise ValueError(f"global and local discriminators: not for the net {pair.name!r}")

        def discriminator(c: Channels, rng: np.random.Generator, _: bool) -> GlobalLocal:
            return GlobalLocal(c, side=pair.hole, rng=rng)

        pair = replace(pair, discriminator=discriminator)
        super().__init__(settings, photographs, architecture=pair, **options)

    def logits(self, image: Tensor | Array, batch: Batch) -> Tensor:
        return self.discriminator(framed(batch.context, image), image)


def framed(context: Array, square: Tensor | Array) -> Tensor:
    """Return context (N, size, size, 3) with square (N, side, side, 3) in its middle."""
    size, side = context.shape[1], square.shape[1]
    start, stop = (size - side) // 2, (size + side) // 2
    middle = ops.concatenate(
        context[:, start:stop, :start], square, context[:, start:stop, stop:], axis=2
    )
    return ops.concatenate(context[:, :start], middle, context[:, stop:], axis=1)
