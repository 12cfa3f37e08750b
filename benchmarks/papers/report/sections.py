"""The assembly of a page: its sections, a note on how they were computed, its files."""

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
from .cache import ResultCache
from .page import Block, Figure, Page, Section, Text

PACKAGES = ("numpy", "scipy", "scikit-image")  # their versions are printed on a page


def sections(
    makers: Mapping[str, Callable[[], list[Block]]],
    on_section: Callable[[Section], None],
    *,
    publishable: bool = False,
) -> Iterator[Section]:
    """Yield a section for each title. If its data, weights or packages are missing, it says so.

    on_section: called with each finished section. publishable: leave out pictures that may not be
    published.
    """
    for title, make in makers.items():
        try:
            blocks = make()
            section = Section(title, _publishable_blocks(blocks) if publishable else blocks)
        except (MissingError, NoWeightsError) as missing:
            section = Section(title, [Text(f"Left out: {missing}.")])
        on_section(section)
        yield section


def _publishable_blocks(blocks: list[Block]) -> list[Block]:
    """Return the blocks with a sentence in place of pictures that may not be published."""
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, Figure) and block.owner:
            block = Text(f"Left out: pictures of {block.owner}, which are not ours to pass on.")
        if block not in kept[-1:]:
            kept.append(block)
    return kept


def how_made(paper: str, cache: ResultCache, *, quick: bool, seed: int, device: Device) -> Section:
    """Return a section with the command, the versions and the time of a page."""
    versions = {"Python": platform.python_version(), "minidl": __version__}
    versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Section(
        "How this page was made",
        [
            Text(f"python -m benchmarks.papers {paper}{' --quick' if quick else ''}, seed {seed}."),
            Text(
                f"{said}; networks on the {device.name}. The numbers took "
                f"{cache.seconds / 60:.0f} minutes in all, on whatever else the machine had to do."
            ),
        ],
    )


def save(page: Page, out: Path, paper: str) -> list[Path]:
    """Write OUT/PAPER.html and OUT/PAPER.md; return both paths."""
    html, markdown = out / f"{paper}.html", out / f"{paper}.md"
    for path, content in {html: page.html(), markdown: page.markdown(out)}.items():
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return [html, markdown]
