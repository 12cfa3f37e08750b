"""Paper 2 from its table 1 to what goes beyond it, as a page.

Every section is built by a function of (plan, parts); one whose data, weights or packages are
absent says so in its place, and the others go on.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path

from minidl import __version__, checkpoint
from models.zoo import NoWeightsError

from .context_encoder_ablation import ablated
from .context_encoder_labels import labels
from .context_encoder_neighbours import neighbours
from .context_encoder_pictures import methods_side_by_side, sharpness, three_rows
from .context_encoder_plan import Plan
from .context_encoder_table import table_1
from .data import MissingError
from .page import Block, Page, Section, Text
from .parts import Parts

Build = Callable[[Plan, Parts], list[Block]]
TITLE = "Context encoders, reproduced"
PACKAGES = ("numpy", "scipy", "scikit-image")  # whose versions the page tells

SECTIONS: dict[str, Build] = {
    "Table 1: a square in the middle": table_1,
    "The same holes, by every method": methods_side_by_side,
    "Holes of three kinds": three_rows,
    "What the adversarial loss gives, and takes": sharpness,
    "Nearest neighbours": neighbours,
    "What the features know": labels,
    "The recipe, changed in one thing": ablated,
}


def build(plan: Plan, parts: Parts, told: Callable[[Section], None] = lambda _: None) -> Page:
    """All sections, one after another; `told` is called with each when it is done."""
    plan.check()
    sections = []
    for title, make in SECTIONS.items():
        try:
            section = Section(title, make(plan, parts))
        except (MissingError, NoWeightsError) as missing:
            section = Section(title, [Text(f"Left out: {missing}.")])
        told(section)
        sections.append(section)
    return Page(TITLE, [_opening(plan), *sections, _made(plan, parts)])


def save(page: Page, out: Path) -> list[Path]:
    """Write OUT/context-encoder.html and OUT/context-encoder.md; returns both."""
    stem = out / "context-encoder"
    written = {stem.with_suffix(".html"): page.html(), stem.with_suffix(".md"): page.markdown(out)}
    for path, content in written.items():
        with checkpoint.replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(written)


def _opening(plan: Plan) -> Section:
    blocks: list[Block] = [
        Text(
            "D. Pathak, P. Krähenbühl, J. Donahue, T. Darrell and A. Efros, Context Encoders: "
            "Feature Learning by Inpainting, CVPR 2016. Every number on this page was worked out "
            "by one command, except the rows marked as quoted. The photographs that are scored "
            "were neither trained on nor used to choose anything."
        )
    ]
    if plan.quick:
        blocks.append(
            Text(
                f"This was a quick run: {len(plan.test)} photographs, trainings of a few steps. It "
                "shows that everything works; it is no measurement."
            )
        )
    return Section("The paper", blocks)


def _made(plan: Plan, parts: Parts) -> Section:
    versions = {"Python": platform.python_version(), "minidl": __version__}
    versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    quick = " --quick" if plan.quick else ""
    return Section(
        "How this page was made",
        [
            Text(f"minidl reproduce context-encoder{quick}, seed {plan.seed}."),
            Text(
                f"{said}; networks on the {plan.place.name}. The numbers took "
                f"{parts.seconds / 60:.0f} minutes in all, on whatever else the machine had to do."
            ),
        ],
    )
