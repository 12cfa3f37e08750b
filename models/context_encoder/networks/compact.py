"""The compact network, which two CPU cores can train."""

from __future__ import annotations

import itertools

import numpy as np

from minidl import Tensor, nn, ops
from minidl.device import Array

from .architecture import Channels, Layers


class Mixing(nn.Module):
    """(N, size, size, C) -> the same shape: x plus a function of all its positions and channels.

    The paper's channel-wise fully connected layer connects all positions of a channel, and a 1x1
    convolution connects the channels (section 3.1). The sum with x (He et al. 2016) lets several of
    these layers follow one another.
    """

    def __init__(self, channels: int, size: int, *, rng: np.random.Generator) -> None:
        self.added = nn.Sequential(
            nn.ChannelwiseLinear(channels, size, rng=rng),
            nn.LeakyReLU(),
            nn.Conv2D(channels, channels, kernel_size=1, rng=rng),
            nn.BatchNorm(channels),
        )
        self.leaky = nn.LeakyReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.leaky(ops.add(x, self.added(x)))


class CompactGenerator(nn.Module):
    """128x128x3, the hole filled with a smooth surface -> 64x64x3, the square in the middle.

    The output is the prefilled square plus a correction by a U-net (Ronneberger et al. 2015). The
    encoder reduces the picture to 8x8, where each of `blocks` layers connects every position with
    all others. The decoder enlarges it again; `skip_connections` add the encoder's features of each
    scale. With `full_image` it returns the whole picture.
    """

    def __init__(
        self,
        c: Channels,
        rng: np.random.Generator,
        full_image: bool,
        *,
        size: int = 128,
        blocks: int = 4,
        skip_connections: bool = True,
    ) -> None:
        def down(inputs: int, outputs: int) -> nn.Module:
            conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
            return nn.Sequential(conv, nn.BatchNorm(outputs), nn.LeakyReLU())

        def up(inputs: int, outputs: int) -> nn.Module:
            conv = nn.UpsampleConv2D(inputs, outputs, rng=rng)
            return nn.Sequential(conv, nn.BatchNorm(outputs), nn.LeakyReLU())

        self.full_image = full_image
        self.downs = [
            down(3, c(24)),  # 64x64x24
            down(c(24), c(64)),  # 32x32x64
            down(c(64), c(128)),  # 16x16x128
            down(c(128), c(192)),  # 8x8x192
        ]
        self.mixing = nn.Sequential(
            *(Mixing(c(192), size // 16, rng=rng) for _ in range(blocks))  # 8x8x192
        )
        self.ups = [
            up(c(192), c(128)),  # 16x16x128
            up(c(128), c(64)),  # 32x32x64
            up(c(64), c(24)),  # 64x64x24
        ]
        links = [nn.Conv2D(n, n, kernel_size=1, rng=rng) for n in (c(128), c(64), c(24))]
        # They are drawn in any case, so that all other weights are the same without them.
        self.links = links if skip_connections else []
        self.last = nn.Sequential(
            up(c(24), c(16)),  # 64x64x16, of the middle 32x32x24
            nn.Conv2D(c(16), 3, kernel_size=3, rng=rng, std=0.01),  # 64x64x3
            nn.Tanh(),
        )

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.add(self.middle(x), self.added(x))

    def added(self, x: Tensor | Array) -> Tensor:
        """Return the correction of the prefilled square."""
        *seen, y = itertools.accumulate(self.downs, lambda y, down: down(y), initial=x)
        y = self.mixing(y)
        for up, link in itertools.zip_longest(self.ups, self.links):
            y = ops.add(up(y), link(seen.pop())) if link else up(y)
        return self.last(self.middle(y))

    @property
    def encoder(self) -> nn.Sequential:
        """The layers from the picture to its features at 8x8, (N, 8, 8, C)."""
        return nn.Sequential(*self.downs, self.mixing)

    def middle(self, x: Tensor | Array) -> Tensor | Array:
        """Return the part of x (N, S, S, C) that the generator predicts."""
        quarter = 0 if self.full_image else x.shape[1] // 4
        half = slice(quarter, x.shape[1] - quarter)
        return x[:, half, half]


def compact_discriminator(c: Channels, rng: np.random.Generator, full_image: bool) -> nn.Sequential:
    """64x64x3 -> 4x4 logits, each for a patch of 31x31 pixels (Isola et al. 2017).

    A discriminator of patches cannot memorise the few thousand squares of the training. It has no
    batch norm: with it, it is right about every square within minutes.
    """

    def down(inputs: int, outputs: int) -> Layers:
        return [nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng), nn.LeakyReLU()]

    return nn.Sequential(
        *down(3, c(32)),  # 32x32x32
        *down(c(32), c(64)),  # 16x16x64
        *down(c(64), c(96)),  # 8x8x96
        *down(c(96), c(128)),  # 4x4x128
        nn.Conv2D(c(128), 1, kernel_size=1, rng=rng),  # 4x4x1
    )
