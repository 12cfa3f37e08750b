"""The network of the authors' code, with a bottleneck of 4000 numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import nn

from .architecture import Channels, Layers


def authors_generator(c: Channels, rng: np.random.Generator, full_image: bool) -> nn.Sequential:
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
        *(up(c(64), c(64)) if full_image else []),  # 64x64x64
        nn.ConvTranspose2D(
            c(64), 3, kernel_size=4, stride=2, padding=1, rng=rng, std=0.02
        ),  # 64x64x3
        nn.Tanh(),
    )


def authors_discriminator(c: Channels, rng: np.random.Generator, full_image: bool) -> nn.Sequential:
    """64x64x3 -> 1 logit."""

    def down(inputs: int, outputs: int) -> Layers:
        conv = nn.Conv2D(inputs, outputs, kernel_size=4, stride=2, padding=1, rng=rng, std=0.02)
        return [conv, nn.BatchNorm(outputs), nn.LeakyReLU()]

    return nn.Sequential(
        nn.Conv2D(3, c(64), kernel_size=4, stride=2, padding=1, rng=rng, std=0.02),  # 32x32x64
        nn.LeakyReLU(),
        *(down(c(64), c(64)) if full_image else []),  # of 128x128x3: 32x32x64
        *down(c(64), c(128)),  # 16x16x128
        *down(c(128), c(256)),  # 8x8x256
        *down(c(256), c(512)),  # 4x4x512
        nn.Conv2D(c(512), 1, kernel_size=4, padding=0, rng=rng, std=0.02),  # 1x1x1
        nn.Flatten(),  # 1
    )
