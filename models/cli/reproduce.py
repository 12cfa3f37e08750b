"""`minidl reproduce`: a paper's tables and figures worked out again, as HTML and as Markdown."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from minidl import device
from models.reproduce import ssda as paper_1
from models.reproduce.assembly import save
from models.reproduce.data import ReproduceError
from models.reproduce.page import Page, Section, Table, Text
from models.reproduce.parts import Parts
from models.reproduce.plan import Plan
from models.terminal import shown


def ssda(options: argparse.Namespace) -> int:
    """Paper 1: tables 1 and 2, figures 2 and 3, filters, the ablation."""
    plan = Plan(
        data=Path(options.data),
        train=Path(options.train) if options.train else None,
        seed=options.seed,
        minutes=options.minutes,
        quick=options.quick,
        publishable=options.publishable,
        place=device.choose(options.device),
    )
    paper_1.check(plan)
    return _made(options, lambda parts, told: paper_1.build(plan, parts, told), "ssda")


def context_encoder(options: argparse.Namespace) -> int:
    """Paper 2: table 1, its figures and the report's, features, the ablation, and beyond."""
    from models.reproduce import context_encoder as paper_2
    from models.reproduce.context_encoder_plan import Plan

    plan = Plan(
        data=Path(options.data),
        train=Path(options.train) if options.train else None,
        seed=options.seed,
        quick=options.quick,
        publishable=options.publishable,
        place=device.choose(options.device),
    )
    plan.check()
    return _made(options, lambda parts, told: paper_2.build(plan, parts, told), "context-encoder")


def _made(
    options: argparse.Namespace,
    build: Callable[[Parts, Callable[[Section], None]], Page],
    paper: str,
) -> int:
    """Build a page in --out, and say where it is."""
    began = time.perf_counter()
    try:
        parts = Parts(Path(options.out), quiet=options.json, force=options.force)
    except OSError as error:
        raise ReproduceError(
            f"{options.out}: cannot be made ({error.strerror}); name another --out"
        ) from error
    try:
        page = build(parts, (lambda _: None) if options.json else tell)
    except KeyboardInterrupt as interrupt:
        interrupt.args = ("the same command goes on from here",)
        raise
    written = save(page, parts.out, paper)
    if options.json:
        print(json.dumps({path.suffix[1:]: str(path) for path in written}))
    else:
        print(f"{' and '.join(map(shown, written))}, in {time.perf_counter() - began:.0f} s")
    return 0


def tell(section: Section) -> None:
    """Print a section's tables, and what was left out of it."""
    print(f"\n{shown(section.title)}")
    for block in section.blocks:
        if isinstance(block, Table):
            print(_aligned(block))
        elif isinstance(block, Text) and block.words.startswith("Left out"):
            print(f"  {shown(block.words)}")


def _aligned(table: Table) -> str:
    """The table for a terminal."""
    rows = [list(table.columns), *([shown(row.name), *row.cells] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(f"  {line}".rstrip() for line in [table.caption, *lines])
