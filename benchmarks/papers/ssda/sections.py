"""The page of paper 1, from its table 1 to what it leaves out.

Every section is built by a function of (plan, cache). If its data or packages are missing, a
section says so, and the others follow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..data import ReproduceError
from ..report.cache import ResultCache
from ..report.page import Block, Page, Section, Text
from ..report.sections import how_made, sections
from . import (
    figure3_text,
    filters_and_ablation,
    noise_levels,
    table1_denoising,
    table2_digits,
    text_sizes,
)
from .plan import Plan

Build = Callable[[Plan, ResultCache], list[Block]]
TITLE = "Image denoising and inpainting with deep neural networks, reproduced"
NEEDED = ("set12", "bsd68", "mnist")  # at least one of them

SECTIONS: dict[str, Build] = {
    "Table 1: Gaussian noise": table1_denoising.table_1,
    "Figure 2: one picture": table1_denoising.figure_2,
    "Figure 3: text taken off, blind": figure3_text.figure_3,
    "Table 2: features of digits": table2_digits.table_2,
    "Text of other sizes": text_sizes.sizes,
    "Text in colour": text_sizes.coloured,
    "Noise of other levels": noise_levels.between,
    "Noise of which nothing is known": noise_levels.unknown,
    "Learned filters": filters_and_ablation.filters,
    "Ablation": filters_and_ablation.ablated,
    "What the paper leaves out": filters_and_ablation.left_out,
}


def check(plan: Plan) -> None:
    """Raise ReproduceError if nothing can be reproduced, or a folder is missing."""
    if not plan.data.is_dir():
        raise ReproduceError(f"{plan.data}: there is no such folder; expected one with set12/")
    if not any((plan.data / name).is_dir() for name in NEEDED):
        raise ReproduceError(f"{plan.data}: has none of the folders {', '.join(NEEDED)}")
    if plan.train is not None and not plan.train.is_dir():
        raise ReproduceError(f"{plan.train}: there is no such folder; expected photographs")


def build(
    plan: Plan, cache: ResultCache, on_section: Callable[[Section], None] = lambda _: None
) -> Page:
    """Return the page of all sections; `on_section` is called with each finished one."""
    check(plan)
    makers = {title: partial(make, plan, cache) for title, make in SECTIONS.items()}
    finished = list(sections(makers, on_section, publishable=plan.publishable))
    ending = how_made("ssda", cache, quick=plan.quick, seed=plan.seed, device=plan.device)
    return Page(TITLE, [_opening(plan), *finished, ending])


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
