"""`python -m benchmarks.papers ssda|context-encoder`: a paper's tables and figures, as a page."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minidl import device
from minidl.models.cli import run_command
from minidl.models.cli.arguments import amount, seed
from minidl.models.terminal import shown

from .context_encoder import plan as context_encoder_plan
from .context_encoder import sections as context_encoder_sections
from .data import ReproduceError
from .report.cache import Parts
from .report.page import Page, Section, Table, Text
from .report.sections import save
from .ssda import plan as ssda_plan
from .ssda import sections as ssda_sections

Build = Callable[[Parts, Callable[[Section], None]], Page]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="python -m benchmarks.papers",
        description="Compute a paper's tables and figures again, and write them as a page.",
    )
    papers = root.add_subparsers(dest="paper", metavar="PAPER", required=True)
    ssda_options = _paper(
        papers,
        "ssda",
        ssda,
        "paper 1: tables 1 and 2, figures 2 and 3, filters, the ablation",
        data="a folder with set12/, bsd68/ and mnist/; each that is absent is left out by name",
        train="a folder of photographs to train on, for the ablation",
    )
    ssda_options.add_argument(
        "--minutes", type=amount, default=2.0, help="for each recipe of the ablation (%(default)g)"
    )
    _paper(
        papers,
        "context-encoder",
        context_encoder,
        "paper 2: table 1, figures, features, the ablation and extensions",
        data="a folder of photographs to score on",
        train="a folder of other photographs, for neighbours, features, critics and the ablation",
    )
    return root


def _paper(
    papers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: Callable[[argparse.Namespace], int],
    text: str,
    *,
    data: str,
    train: str,
) -> argparse.ArgumentParser:
    """The sub-command for one paper, with the options that both papers have."""
    example = f"python -m benchmarks.papers {name} --data DATA --out reproduced --quick"
    command = papers.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example: {example}"
    )
    command.add_argument("--data", required=True, help=data)
    command.add_argument(
        "--out",
        required=True,
        help="a folder for the pages; results that an earlier run finished in it are used again",
    )
    command.add_argument("--train", help=train)
    command.add_argument("--quick", action="store_true", help="everything, in a few minutes")
    command.add_argument(
        "--publishable",
        action="store_true",
        help="leave out the pictures that were given, which may not be ours to publish",
    )
    command.add_argument(
        "--force", action="store_true", help="write into a folder that holds other files, too"
    )
    command.add_argument("--seed", type=seed, default=0, help="of all chance (%(default)s)")
    command.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    command.add_argument("--json", action="store_true", help="answer in JSON")
    command.set_defaults(command=f"papers {name}", function=function)
    return command


def ssda(options: argparse.Namespace) -> int:
    """Paper 1: tables 1 and 2, figures 2 and 3, filters, the ablation."""
    plan = ssda_plan.Plan(
        data=Path(options.data),
        train=Path(options.train) if options.train else None,
        seed=options.seed,
        minutes=options.minutes,
        quick=options.quick,
        publishable=options.publishable,
        place=device.choose(options.device),
    )
    ssda_sections.check(plan)
    return _make(options, lambda parts, told: ssda_sections.build(plan, parts, told))


def context_encoder(options: argparse.Namespace) -> int:
    """Paper 2: table 1, its figures and the course report's, features, the ablation."""
    plan = context_encoder_plan.Plan(
        data=Path(options.data),
        train=Path(options.train) if options.train else None,
        seed=options.seed,
        quick=options.quick,
        publishable=options.publishable,
        place=device.choose(options.device),
    )
    plan.check()
    return _make(options, lambda parts, told: context_encoder_sections.build(plan, parts, told))


def _make(options: argparse.Namespace, build: Build) -> int:
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
    written = save(page, parts.out, options.paper)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(parser, lambda options: options.function(options), arguments)


if __name__ == "__main__":
    sys.exit(main())
