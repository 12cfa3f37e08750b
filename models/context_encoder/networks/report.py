"""The network of a course report, written in Keras, layer for layer."""

from __future__ import annotations

import numpy as np

from minidl import nn

from .architecture import Channels, Layers


def report_generator(c: Channels, rng: np.random.Generator, full_image: bool) -> nn.Sequential:
    """256x256x3 -> 64x64x3. Without the channel-wise layer no pixel sees the whole context."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
        return [conv, nn.LeakyReLUBatchNorm(outputs, slope=0.2, momentum=0.8)]

    def up(inputs: int, outputs: int) -> Layers:
        conv = nn.UpsampleConv2D(inputs, outputs, rng=rng)
        return [conv, nn.LeakyReLUBatchNorm(outputs, slope=0, momentum=0.8)]

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
        *(up(c(64), c(64)) + up(c(64), c(64)) if full_image else []),  # 256x256x64
        nn.Conv2D(c(64), 3, kernel_size=3, rng=rng),  # 64x64x3
        nn.Tanh(),
    )


def report_discriminator(c: Channels, rng: np.random.Generator, full_image: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, kernel_size=3, stride=2, rng=rng)
        return [conv, nn.LeakyReLUBatchNorm(outputs, slope=0.2, momentum=0.8)]

    return nn.Sequential(
        *down(3, c(64)),  # 32x32x64
        *(down(c(64), c(64)) + down(c(64), c(64)) if full_image else []),  # of 256x256x3: 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Flatten(),
        nn.Linear(16 * c(512), 1, rng=rng),  # 1
    )
