"""The page of paper 2, from its table 1 to extensions.

Every section is built by a function of (plan, cache). If its data, weights or packages are
missing, a section says so, and the others follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..report.cache import ResultCache
from ..report.page import Block, Page, Section, Text
from ..report.sections import how_made, sections
from .ablation import ablated
from .features import labels
from .figures import methods_side_by_side, sharpness, three_rows
from .neighbours import neighbours
from .plan import Plan
from .table1 import table_1

Build = Callable[[Plan, ResultCache], list[Block]]
TITLE = "Context encoders, reproduced"

SECTIONS: dict[str, Build] = {
    "Table 1: a square in the middle": table_1,
    "The same holes, by every method": methods_side_by_side,
    "Holes of three kinds": three_rows,
    "What the adversarial loss gives, and takes": sharpness,
    "Nearest neighbours": neighbours,
    "What the features know": labels,
    "The recipe, changed in one thing": ablated,
}


def build(
    plan: Plan, cache: ResultCache, on_section: Callable[[Section], None] = lambda _: None
) -> Page:
    """Return the page of all sections; `on_section` is called with each finished one."""
    plan.check()
    makers = {title: partial(make, plan, cache) for title, make in SECTIONS.items()}
    finished = list(sections(makers, on_section, publishable=plan.publishable))
    ending = how_made(
        "context-encoder", cache, quick=plan.quick, seed=plan.seed, device=plan.device
    )
    return Page(TITLE, [_opening(plan), *finished, ending])


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
