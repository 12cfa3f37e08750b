"""Paper 1 from its table 1 to what it leaves out, as a page.

Every section is built by a function of (plan, parts); one whose data or packages are absent says so
in its place, and the others go on.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path

from minidl import __version__, checkpoint
from models.zoo import NoWeightsError

from . import denoising, digits, insight, letters, levels, text
from .data import MissingError, ReproduceError
from .page import Block, Figure, Page, Section, Text
from .parts import Parts
from .plan import Plan

Build = Callable[[Plan, Parts], list[Block]]
TITLE = "Image denoising and inpainting with deep neural networks, reproduced"
PACKAGES = ("numpy", "scipy", "scikit-image")  # whose versions the page tells
NEEDED = ("set12", "bsd68", "mnist")  # at least one of them

SECTIONS: dict[str, Build] = {
    "Table 1: Gaussian noise": denoising.table_1,
    "Figure 2: one picture": denoising.figure_2,
    "Figure 3: text taken off, blind": text.figure_3,
    "Table 2: features of digits": digits.table_2,
    "Text of other sizes": letters.sizes,
    "Text in colour": letters.coloured,
    "Noise of other levels": levels.between,
    "Noise of which nothing is known": levels.unknown,
    "Learned filters": insight.filters,
    "Ablation": insight.ablated,
    "What the paper leaves out": insight.left_out,
}


def check(plan: Plan) -> None:
    """Raises ReproduceError if nothing at all can be reproduced, or a folder is not there."""
    if not plan.data.is_dir():
        raise ReproduceError(f"{plan.data}: there is no such folder; expected one with set12/")
    if not any((plan.data / name).is_dir() for name in NEEDED):
        raise ReproduceError(f"{plan.data}: has none of the folders {', '.join(NEEDED)}")
    if plan.train is not None and not plan.train.is_dir():
        raise ReproduceError(f"{plan.train}: there is no such folder; expected photographs")


def build(plan: Plan, parts: Parts, told: Callable[[Section], None] = lambda _: None) -> Page:
    """All sections, one after another; `told` is called with each when it is done."""
    check(plan)
    sections = []
    for title, make in SECTIONS.items():
        try:
            section = Section(title, [_shown(plan, block) for block in make(plan, parts)])
        except (MissingError, NoWeightsError) as missing:
            section = Section(title, [Text(f"Left out: {missing}.")])
        told(section)
        sections.append(section)
    return Page(TITLE, [_opening(plan), *sections, _made(plan, parts)])


def _shown(plan: Plan, block: Block) -> Block:
    """The block, or what stands for it on a page that is passed on."""
    if plan.publishable and isinstance(block, Figure) and block.of:
        return Text(f"Left out: pictures of {block.of}, which are not ours to pass on.")
    return block


def save(page: Page, out: Path) -> list[Path]:
    """Write OUT/ssda.html and OUT/ssda.md; returns both."""
    written = {out / "ssda.html": page.html(), out / "ssda.md": page.markdown(out)}
    for path, content in written.items():
        with checkpoint.replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(written)


def _opening(plan: Plan) -> Section:
    blocks: list[Block] = [
        Text(
            "J. Xie, L. Xu and E. Chen, Image Denoising and Inpainting with Deep Neural Networks, "
            "NIPS 2012: stacked sparse denoising auto-encoders. Every number on this page was "
            "worked out by one command, except the rows marked as quoted. The pictures that are "
            "scored were neither trained on nor used to choose anything."
        )
    ]
    if plan.quick:
        blocks.append(
            Text(
                f"This was a quick run: {plan.count} pictures of each collection, noise of sigma "
                f"{' and '.join(f'{s:g}' for s in plan.sigmas)} only, few digits, short training. "
                "It shows that everything works; it is no measurement."
            )
        )
    return Section("The paper", blocks)


def _made(plan: Plan, parts: Parts) -> Section:
    versions = {"Python": platform.python_version(), "minidl": __version__}
    versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Section(
        "How this page was made",
        [
            Text(f"minidl reproduce ssda{' --quick' if plan.quick else ''}, seed {plan.seed}."),
            Text(
                f"{said}; networks on the {plan.place.name}. The numbers took "
                f"{parts.seconds / 60:.0f} minutes in all, on whatever else the machine had to do."
            ),
        ],
    )
