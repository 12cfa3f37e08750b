"""The networks of context encoders (Pathak et al., CVPR 2016): generators and discriminators.

authors       the network of the authors' code
report        the network of a course report
compact       a network that two CPU cores can train
architecture  the type that all three share

A generator takes a picture with a hole, (N, size, size, 3) in [-1, 1], and returns the missing
square, (N, size / 2 or / 4, ..., 3). With `full_image` it returns a picture of the input's size, of
which only the hole is used. A discriminator takes a generated or a real square and returns
a logit, (N, 1), or one logit for each patch, (N, h, w, 1): above 0 means real. The sigmoid is part
of the loss.

The comment beside a layer is its output's shape (height x width x channels) at width 1. A smaller
width, for trials, multiplies all numbers of channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import nn

from .architecture import Architecture, Channels, channels
from .authors import authors_discriminator, authors_generator
from .compact import CompactGenerator, Mixing, compact_discriminator
from .report import report_discriminator, report_generator

__all__ = [
    "ARCHITECTURES", "AUTHORS", "COMPACT", "REPORT", "Architecture", "Channels", "CompactGenerator",
    "Mixing", "build", "by_name", "channels", "compact_discriminator",
]  # fmt: skip

COMPACT = Architecture("compact", 128, 64, CompactGenerator, compact_discriminator, prefilled=True)
REPORT = Architecture("report", 256, 64, report_generator, report_discriminator)
AUTHORS = Architecture("authors", 128, 64, authors_generator, authors_discriminator)
ARCHITECTURES = {architecture.name: architecture for architecture in (COMPACT, REPORT, AUTHORS)}


def by_name(net: str) -> Architecture:
    """Return the architecture of this name. Raises ValueError for an unknown name."""
    if net not in ARCHITECTURES:
        raise ValueError(f"net {net!r}: expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[net]


def build(
    net: str | Architecture,
    *,
    rng: np.random.Generator,
    full_image: bool = False,
    width: float = 1.0,
) -> tuple[nn.Module, Any]:
    """Return (generator, discriminator) of an architecture or of the one with this name.

    Raises ValueError for an unknown name.
    """
    architecture, c = by_name(net) if isinstance(net, str) else net, channels(width)
    generator = architecture.generator(c, rng, full_image)
    return generator, architecture.discriminator(c, rng, full_image)
