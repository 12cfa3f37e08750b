"""The networks of context encoders (Pathak et al., CVPR 2016): generators and discriminators.

Three pairs, each made by one function. A generator takes a picture with a hole, (N, size, size, 3)
in [-1, 1], and gives the missing square, (N, size / 2 or / 4, ..., 3); made `whole`, it gives a
picture of the input's size, of which only the hole counts. A discriminator takes what its generator
gives, or the real thing, and answers one logit (N, 1): above 0 means real. The sigmoid is part of
the loss.

width: multiplies all channels, for trials with small networks. The comment beside a layer is the
shape (height x width x channels) that it gives at width 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidl import nn

Layers = list[nn.Module]
Channels = Callable[[int], int]


@dataclass(frozen=True)
class Architecture:
    """A pair of networks: `size` pixels in, `hole` pixels out, and their two makers.

    The makers are called with (channels, rng, whole), channels being a function of a number of
    channels at width 1.
    """

    size: int
    hole: int
    generator: Callable[[Channels, np.random.Generator, bool], nn.Sequential]
    discriminator: Callable[[Channels, np.random.Generator, bool], nn.Sequential]


def build(
    net: str,
    *,
    rng: np.random.Generator,
    whole: bool = False,
    width: float = 1.0,
) -> tuple[nn.Sequential, nn.Sequential]:
    """(generator, discriminator) of a net of ARCHITECTURES. Raises ValueError for another name."""
    architecture = named(net)

    def channels(count: int) -> int:
        return max(1, round(count * width))

    generator = architecture.generator(channels, rng, whole)
    return generator, architecture.discriminator(channels, rng, whole)


def named(net: str) -> Architecture:
    """Raises ValueError for a name that is not in ARCHITECTURES."""
    if net not in ARCHITECTURES:
        raise ValueError(f"net {net!r}: expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[net]


# --- compact: what two CPU cores can train --------------------------------------------------------


def compact_generator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """128x128x3 -> 64x64x3. Few channels, and the paper's channel-wise fully connected layer at
    8x8, through which every pixel of the hole sees the whole context."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, window=3, stride=2, rng=rng)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    def up(inputs: int, outputs: int) -> Layers:
        conv = nn.UpSampleConv2D(inputs, outputs, rng=rng)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    return nn.Sequential(
        *down(3, c(24)),  # 64x64x24
        *down(c(24), c(48)),  # 32x32x48
        *down(c(48), c(96)),  # 16x16x96
        *down(c(96), c(160)),  # 8x8x160
        nn.ChannelwiseLinear(c(160), 8, rng=rng),  # 8x8x160
        nn.LeakyReLU(),
        nn.Conv2D(c(160), c(160), window=1, rng=rng),  # 8x8x160
        nn.BatchNorm(c(160)),
        nn.LeakyReLU(),
        *up(c(160), c(96)),  # 16x16x96
        *up(c(96), c(48)),  # 32x32x48
        *up(c(48), c(24)),  # 64x64x24
        *(up(c(24), c(16)) if whole else []),  # 128x128x16
        nn.Conv2D(c(16) if whole else c(24), 3, window=3, rng=rng),  # 64x64x3
        nn.Tanh(),
    )


def compact_discriminator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit. Without batch norm, with which it is right about all after minutes."""

    def down(inputs: int, outputs: int) -> Layers:
        return [nn.Conv2D(inputs, outputs, window=3, stride=2, rng=rng), nn.LeakyReLU()]

    return nn.Sequential(
        *down(3, c(24)),  # 32x32x24
        *(down(c(24), c(24)) if whole else []),  # of 128x128x3: 32x32x24
        *down(c(24), c(48)),  # 16x16x48
        *down(c(48), c(96)),  # 8x8x96
        *down(c(96), c(128)),  # 4x4x128
        nn.Flatten(),
        nn.Linear(16 * c(128), 1, rng=rng),  # 1
    )


# --- report: the course report's Keras network, layer for layer -----------------------------------


def report_generator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """256x256x3 -> 64x64x3. Without the channel-wise layer no pixel sees the whole context."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, window=3, stride=2, rng=rng)
        return [conv, nn.LeakyReLU(), nn.BatchNorm(outputs, momentum=0.8)]

    def up(inputs: int, outputs: int) -> Layers:
        conv = nn.UpSampleConv2D(inputs, outputs, rng=rng)
        return [conv, nn.ReLU(), nn.BatchNorm(outputs, momentum=0.8)]

    return nn.Sequential(
        *down(3, c(64)),  # 128x128x64
        *down(c(64), c(64)),  # 64x64x64
        *down(c(64), c(128)),  # 32x32x128
        *down(c(128), c(256)),  # 16x16x256
        *down(c(256), c(512)),  # 8x8x512
        nn.Conv2D(c(512), c(512), window=1, stride=2, rng=rng),  # 4x4x512
        nn.LeakyReLU(),
        nn.Dropout(0.5, rng=rng),
        *up(c(512), c(256)),  # 8x8x256
        *up(c(256), c(128)),  # 16x16x128
        *up(c(128), c(64)),  # 32x32x64
        *up(c(64), c(64)),  # 64x64x64
        *(up(c(64), c(64)) + up(c(64), c(64)) if whole else []),  # 256x256x64
        nn.Conv2D(c(64), 3, window=3, rng=rng),  # 64x64x3
        nn.Tanh(),
    )


def report_discriminator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, window=3, stride=2, rng=rng)
        return [conv, nn.LeakyReLU(), nn.BatchNorm(outputs, momentum=0.8)]

    return nn.Sequential(
        *down(3, c(64)),  # 32x32x64
        *(down(c(64), c(64)) + down(c(64), c(64)) if whole else []),  # of 256x256x3: 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Flatten(),
        nn.Linear(16 * c(512), 1, rng=rng),  # 1
    )


# --- authors: the network of the authors' code ----------------------------------------------------


def authors_generator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """128x128x3 -> 64x64x3, through a bottleneck of 4000 numbers."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, window=4, stride=2, pad=1, rng=rng, std=0.02)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    def up(inputs: int, outputs: int) -> Layers:
        conv = nn.ConvTranspose2D(inputs, outputs, window=4, stride=2, pad=1, rng=rng, std=0.02)
        return [conv, nn.BatchNorm(outputs), nn.ReLU()]

    return nn.Sequential(
        nn.Conv2D(3, c(64), window=4, stride=2, pad=1, rng=rng, std=0.02),  # 64x64x64
        nn.LeakyReLU(),
        *down(c(64), c(64)),  # 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Conv2D(c(512), c(4000), window=4, pad=0, rng=rng, std=0.02),  # 1x1x4000
        nn.BatchNorm(c(4000)),
        nn.LeakyReLU(),
        nn.ConvTranspose2D(
            c(4000), c(512), window=4, stride=1, pad=0, rng=rng, std=0.02
        ),  # 4x4x512
        nn.BatchNorm(c(512)),
        nn.ReLU(),
        *up(c(512), c(256)),  # 8x8x256
        *up(c(256), c(128)),  # 16x16x128
        *up(c(128), c(64)),  # 32x32x64
        *(up(c(64), c(64)) if whole else []),  # 64x64x64
        nn.ConvTranspose2D(c(64), 3, window=4, stride=2, pad=1, rng=rng, std=0.02),  # 64x64x3
        nn.Tanh(),
    )


def authors_discriminator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, window=4, stride=2, pad=1, rng=rng, std=0.02)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    return nn.Sequential(
        nn.Conv2D(3, c(64), window=4, stride=2, pad=1, rng=rng, std=0.02),  # 32x32x64
        nn.LeakyReLU(),
        *(down(c(64), c(64)) if whole else []),  # of 128x128x3: 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Conv2D(c(512), 1, window=4, pad=0, rng=rng, std=0.02),  # 1x1x1
        nn.Flatten(),  # 1
    )


ARCHITECTURES = {
    "compact": Architecture(128, 64, compact_generator, compact_discriminator),
    "report": Architecture(256, 64, report_generator, report_discriminator),
    "authors": Architecture(128, 64, authors_generator, authors_discriminator),
}
