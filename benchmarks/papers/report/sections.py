"""The assembly of a page: sections one after another, a note on their origin, files."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from minidl import __version__
from minidl.device import Device
from minidl.files import replacing
from minidl.models.zoo import NoWeightsError

from ..data import MissingError
from .cache import Parts
from .page import Block, Figure, Page, Section, Text

PACKAGES = ("numpy", "scipy", "scikit-image")  # whose versions a page tells


def sections(
    makers: Mapping[str, Callable[[], list[Block]]],
    told: Callable[[Section], None],
    *,
    publishable: bool = False,
) -> Iterator[Section]:
    """A section for each title; one whose data, weights or packages are absent says so in its
    place. `told` is called with each when it is done. publishable: for a page that is passed on,
    without the pictures of others' collections."""
    for title, make in makers.items():
        try:
            blocks = make()
            section = Section(title, _passed_on(blocks) if publishable else blocks)
        except (MissingError, NoWeightsError) as missing:
            section = Section(title, [Text(f"Left out: {missing}.")])
        told(section)
        yield section


def _passed_on(blocks: list[Block]) -> list[Block]:
    """The blocks of a page that is passed on: words instead of others' pictures, said once."""
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, Figure) and block.of:
            block = Text(f"Left out: pictures of {block.of}, which are not ours to pass on.")
        if block not in kept[-1:]:
            kept.append(block)
    return kept


def how_made(paper: str, parts: Parts, *, quick: bool, seed: int, place: Device) -> Section:
    """The command, the versions and the time behind a page."""
    versions = {"Python": platform.python_version(), "minidl": __version__}
    versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Section(
        "How this page was made",
        [
            Text(f"python -m benchmarks.papers {paper}{' --quick' if quick else ''}, seed {seed}."),
            Text(
                f"{said}; networks on the {place.name}. The numbers took "
                f"{parts.seconds / 60:.0f} minutes in all, on whatever else the machine had to do."
            ),
        ],
    )


def save(page: Page, out: Path, paper: str) -> list[Path]:
    """Write OUT/PAPER.html and OUT/PAPER.md; returns both."""
    html, markdown = out / f"{paper}.html", out / f"{paper}.md"
    for path, content in {html: page.html(), markdown: page.markdown(out)}.items():
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return [html, markdown]
