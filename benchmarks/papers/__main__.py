"""`python -m benchmarks.papers ssda|context-encoder`: a page of a paper's tables and figures."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minidl.device import choose
from minidl.models.cli import run_command
from minidl.models.cli.arguments import amount, seed
from minidl.models.terminal import printable

from .context_encoder import plan as context_encoder_plan
from .context_encoder import sections as context_encoder_sections
from .data import ReproduceError
from .report.cache import ResultCache
from .report.page import Page, Section, Table, Text
from .report.sections import save
from .ssda import plan as ssda_plan
from .ssda import sections as ssda_sections

Build = Callable[[ResultCache, Callable[[Section], None]], Page]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
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
        data="a folder with set12/, bsd68/ and mnist/; the page says which are missing",
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
    """Add the sub-command of one paper, with the options of both."""
    example = f"python -m benchmarks.papers {name} --data DATA --out reproduced --quick"
    command = papers.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example: {example}"
    )
    command.add_argument("--data", required=True, help=data)
    command.add_argument(
        "--out",
        required=True,
        help="a folder for the pages; finished results of an earlier run in it are reused",
    )
    command.add_argument("--train", help=train)
    command.add_argument("--quick", action="store_true", help="everything, in a few minutes")
    command.add_argument(
        "--publishable",
        action="store_true",
        help="leave out pictures from --data and --train, which may not be published",
    )
    command.add_argument(
        "--force", action="store_true", help="also write into a folder that holds other files"
    )
    command.add_argument(
        "--seed", type=seed, default=0, help="seed of the random numbers (%(default)s)"
    )
    command.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    command.add_argument("--json", action="store_true", help="answer in JSON")
    command.set_defaults(command=f"papers {name}", function=function)
    return command


def ssda(options: argparse.Namespace) -> int:
    """Build the page of paper 1."""
    plan = ssda_plan.Plan(
        data=Path(options.data),
        train=Path(options.train) if options.train else None,
        seed=options.seed,
        minutes=options.minutes,
        quick=options.quick,
        publishable=options.publishable,
        device=choose(options.device),
    )
    ssda_sections.check(plan)
    return _make(options, lambda cache, on_section: ssda_sections.build(plan, cache, on_section))


def context_encoder(options: argparse.Namespace) -> int:
    """Build the page of paper 2."""
    plan = context_encoder_plan.Plan(
        data=Path(options.data),
        train=Path(options.train) if options.train else None,
        seed=options.seed,
        quick=options.quick,
        publishable=options.publishable,
        device=choose(options.device),
    )
    plan.check()
    return _make(
        options, lambda cache, on_section: context_encoder_sections.build(plan, cache, on_section)
    )


def _make(options: argparse.Namespace, build: Build) -> int:
    """Build a page in --out, and print its path."""
    began = time.perf_counter()
    try:
        cache = ResultCache(Path(options.out), quiet=options.json, force=options.force)
    except OSError as error:
        raise ReproduceError(
            f"{options.out}: cannot be made ({error.strerror}); name another --out"
        ) from error
    try:
        page = build(cache, (lambda _: None) if options.json else tell)
    except KeyboardInterrupt as interrupt:
        interrupt.args = ("the same command continues from here",)
        raise
    written = save(page, cache.out, options.paper)
    if options.json:
        print(json.dumps({path.suffix[1:]: str(path) for path in written}))
    else:
        print(f"{' and '.join(map(printable, written))}, in {time.perf_counter() - began:.0f} s")
    return 0


def tell(section: Section) -> None:
    """Print a section's tables, and a note on missing parts."""
    print(f"\n{printable(section.title)}")
    for block in section.blocks:
        if isinstance(block, Table):
            print(_aligned(block))
        elif isinstance(block, Text) and block.words.startswith("Left out"):
            print(f"  {printable(block.words)}")


def _aligned(table: Table) -> str:
    """Return the table as text for a terminal."""
    rows = [list(table.columns), *([printable(row.name), *row.cells] for row in table.rows)]
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
    """Run the command line, and return the exit code."""
    return run_command(parser, lambda options: options.function(options), arguments)


if __name__ == "__main__":
    sys.exit(main())
