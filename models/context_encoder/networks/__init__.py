"""The networks of context encoders (Pathak et al., CVPR 2016): generators and discriminators.

Three pairs, each made by one function. A generator takes a picture with a hole, (N, size, size, 3)
in [-1, 1], and gives the missing square, (N, size / 2 or / 4, ..., 3); made `whole`, it gives a
picture of the input's size, of which only the hole counts. A discriminator takes what its generator
gives, or the real thing, and answers one logit, (N, 1), or one for each patch, (N, h, w, 1): above
0 means real. The sigmoid is part of the loss.

width: multiplies all channels, for trials with small networks. The comment beside a layer is the
shape (height x width x channels) that it gives at width 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import Tensor, nn, ops
from minidl.device import Array

Layers = list[nn.Module]
Channels = Callable[[int], int]


@dataclass(frozen=True)
class Architecture:
    """A pair of networks: `size` pixels in, `hole` pixels out, and their two makers.

    The makers are called with (channels, rng, whole), channels being a function of a number of
    channels at width 1. bridged: whether the generator expects a hole bridged by a membrane, not of
    one colour.
    """

    size: int
    hole: int
    generator: Callable[[Channels, np.random.Generator, bool], nn.Module]
    discriminator: Callable[[Channels, np.random.Generator, bool], nn.Sequential]
    bridged: bool = False


def build(
    net: str,
    *,
    rng: np.random.Generator,
    whole: bool = False,
    width: float = 1.0,
) -> tuple[nn.Module, nn.Sequential]:
    """(generator, discriminator) of a net of ARCHITECTURES. Raises ValueError for another name."""
    architecture, c = named(net), channels(width)
    generator = architecture.generator(c, rng, whole)
    return generator, architecture.discriminator(c, rng, whole)


def channels(width: float) -> Channels:
    """A function of a number of channels at width 1."""
    return lambda count: max(1, round(count * width))


def named(net: str) -> Architecture:
    """Raises ValueError for a name that is not in ARCHITECTURES."""
    if net not in ARCHITECTURES:
        raise ValueError(f"net {net!r}: expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[net]


# --- compact: what two CPU cores can train --------------------------------------------------------


class Mixing(nn.Module):
    """(N, size, size, channels) -> the same shape: x, and what all its places and maps add to it.

    The paper's channel-wise fully connected layer carries every map over the whole square, and a
    1x1 convolution carries it from map to map (section 3.1). Added to x (He et al. 2016), several
    of them can follow one another.
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
    """128x128x3, the hole bridged by a membrane -> 64x64x3, the square in the middle: what was
    there, and what the layers add to it. Made `whole`, it gives the whole picture.

    A U (Ronneberger et al. 2015): down to 8x8, where `blocks` times every place sees all others,
    and up again, where links bring back what each scale has seen; so what is added to a place can
    follow from what lies around it. Most channels are where there are few pixels.
    """

    def __init__(
        self,
        c: Channels,
        rng: np.random.Generator,
        whole: bool,
        *,
        size: int = 128,
        blocks: int = 4,
        linked: bool = True,
    ) -> None:
        def down(inputs: int, outputs: int) -> nn.Module:
            conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
            return nn.Sequential(conv, nn.BatchNorm(outputs), nn.LeakyReLU())

        def up(inputs: int, outputs: int) -> nn.Module:
            conv = nn.UpsampleConv2D(inputs, outputs, rng=rng)
            return nn.Sequential(conv, nn.BatchNorm(outputs), nn.LeakyReLU())

        self.whole = whole
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
        self.links = links if linked else []  # drawn all the same: the others begin no differently
        self.last = nn.Sequential(
            up(c(24), c(16)),  # 64x64x16, of the middle 32x32x24
            nn.Conv2D(c(16), 3, kernel_size=3, rng=rng, std=0.01),  # 64x64x3
            nn.Tanh(),
        )

    def forward(self, x: Tensor | Array) -> Tensor:
        return ops.add(self.middle(x), self.added(x))

    def added(self, x: Tensor | Array) -> Tensor:
        """What the layers add to the picture."""
        *seen, y = itertools.accumulate(self.downs, lambda y, down: down(y), initial=x)
        y = self.mixing(y)
        for up, link in itertools.zip_longest(self.ups, self.links):
            y = ops.add(up(y), link(seen.pop())) if link else up(y)
        return self.last(self.middle(y))

    @property
    def encoder(self) -> nn.Sequential:
        """The way down and the mixing: of the context x what is known at 8x8, (N, 8, 8, C)."""
        return nn.Sequential(*self.downs, self.mixing)

    def middle(self, x: Tensor | Array) -> Tensor | Array:
        """Of x (N, S, S, C), what is to be given."""
        quarter = 0 if self.whole else x.shape[1] // 4
        half = slice(quarter, x.shape[1] - quarter)
        return x[:, half, half]


def compact_discriminator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """64x64x3 -> 4x4 logits, each of a patch of 31x31 (Isola et al. 2017); of a whole picture more.

    Patches it cannot learn by heart, as it could some thousand squares. Without batch norm, with
    which it is right about all after minutes.
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


# --- report: the course report's Keras network, layer for layer -----------------------------------


def report_generator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """256x256x3 -> 64x64x3. Without the channel-wise layer no pixel sees the whole context."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
        return [conv, nn.BatchNorm(outputs, momentum=0.8, slope=0.2)]  # LeakyReLU first

    def up(inputs: int, outputs: int) -> Layers:
        conv = nn.UpsampleConv2D(inputs, outputs, rng=rng)
        return [conv, nn.BatchNorm(outputs, momentum=0.8, slope=0)]  # ReLU first

    return nn.Sequential(
        *down(3, c(64)),  # 128x128x64
        *down(c(64), c(64)),  # 64x64x64
        *down(c(64), c(128)),  # 32x32x128
        *down(c(128), c(256)),  # 16x16x256
        *down(c(256), c(512)),  # 8x8x512
        nn.Conv2D(c(512), c(512), kernel_size=1, stride=2, rng=rng),  # 4x4x512
        nn.LeakyReLU(),
        nn.Dropout(0.5, rng=rng),
        *up(c(512), c(256)),  # 8x8x256
        *up(c(256), c(128)),  # 16x16x128
        *up(c(128), c(64)),  # 32x32x64
        *up(c(64), c(64)),  # 64x64x64
        *(up(c(64), c(64)) + up(c(64), c(64)) if whole else []),  # 256x256x64
        nn.Conv2D(c(64), 3, kernel_size=3, rng=rng),  # 64x64x3
        nn.Tanh(),
    )


def report_discriminator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
        return [conv, nn.BatchNorm(outputs, momentum=0.8, slope=0.2)]  # LeakyReLU first

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
        conv = nn.Conv2D(inputs, outputs, kernel_size=4, stride=2, padding=1, rng=rng, std=0.02)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    def up(inputs: int, outputs: int) -> Layers:
        how: Any = {"kernel_size": 4, "stride": 2, "padding": 1, "rng": rng, "std": 0.02}
        return [nn.ConvTranspose2D(inputs, outputs, **how), nn.BatchNorm(outputs), nn.ReLU()]

    return nn.Sequential(
        nn.Conv2D(3, c(64), kernel_size=4, stride=2, padding=1, rng=rng, std=0.02),  # 64x64x64
        nn.LeakyReLU(),
        *down(c(64), c(64)),  # 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Conv2D(c(512), c(4000), kernel_size=4, padding=0, rng=rng, std=0.02),  # 1x1x4000
        nn.BatchNorm(c(4000)),
        nn.LeakyReLU(),
        nn.ConvTranspose2D(
            c(4000), c(512), kernel_size=4, stride=1, padding=0, rng=rng, std=0.02
        ),  # 4x4x512
        nn.BatchNorm(c(512)),
        nn.ReLU(),
        *up(c(512), c(256)),  # 8x8x256
        *up(c(256), c(128)),  # 16x16x128
        *up(c(128), c(64)),  # 32x32x64
        *(up(c(64), c(64)) if whole else []),  # 64x64x64
        nn.ConvTranspose2D(
            c(64), 3, kernel_size=4, stride=2, padding=1, rng=rng, std=0.02
        ),  # 64x64x3
        nn.Tanh(),
    )


def authors_discriminator(c: Channels, rng: np.random.Generator, whole: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, kernel_size=4, stride=2, padding=1, rng=rng, std=0.02)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    return nn.Sequential(
        nn.Conv2D(3, c(64), kernel_size=4, stride=2, padding=1, rng=rng, std=0.02),  # 32x32x64
        nn.LeakyReLU(),
        *(down(c(64), c(64)) if whole else []),  # of 128x128x3: 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Conv2D(c(512), 1, kernel_size=4, padding=0, rng=rng, std=0.02),  # 1x1x1
        nn.Flatten(),  # 1
    )


ARCHITECTURES = {
    "compact": Architecture(128, 64, CompactGenerator, compact_discriminator, bridged=True),
    "report": Architecture(256, 64, report_generator, report_discriminator),
    "authors": Architecture(128, 64, authors_generator, authors_discriminator),
}
