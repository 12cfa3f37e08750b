"""Results of several runs as Markdown tables and one chart, for the documentation.

python -m benchmarks.page RESULTS.json ... [--chart FILE.png]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from minidl.files import check_absent

from .harness import Result


def read(path: Path) -> list[Result]:
    """Read the results of a benchmark's JSON file."""
    rows = json.loads(path.read_text())
    return [Result(**{**row, "spread": row["spread"] and tuple(row["spread"])}) for row in rows]


def table(runs: Sequence[Sequence[Result]]) -> str:
    """Return a row for each name: in each run our time, the fastest reference's, their ratio."""
    threads = [run[0].threads for run in runs]
    heads = [f"{n} thread{'s' if n > 1 else ''}: ours, PyTorch's best, ms | ratio" for n in threads]
    lines = ["| step | " + " | ".join(heads) + " |", "|---|" + "---|---|" * len(runs)]
    for name in [result.name for result in runs[0]]:
        cells = [name]
        for run in runs:
            row = next((r for r in run if r.name == name), None)
            if row is None or row.ratio is None:
                cells += ["", ""]
                continue
            times = f"{row.ours_ms:.0f}, {row.reference_ms:.0f} ({_mode(row.reference)})"
            cells += [times, f"**{row.ratio:.2f}**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def memory_table(runs: Sequence[Sequence[Result]]) -> str:
    """Return a row for each result with measured memory; an empty text without any."""
    lines = ["| peak memory, MiB | threads | ours | PyTorch's least |", "|---|---|---|---|"]
    for row in (row for run in runs for row in run):
        found = {k.removesuffix(", MiB"): v for k, v in row.figures.items() if k.endswith(", MiB")}
        if not found:
            continue
        ours, beside = found.pop("ours"), ""
        if found:
            best = min(found, key=found.__getitem__)
            beside = f"{found[best]:.0f} ({_mode(best)})"
        lines.append(f"| {row.name} | {row.threads} | {ours:.0f} | {beside} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _mode(reference: str | None) -> str:
    return (reference or "").removeprefix("PyTorch").strip() or "eager"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and draw the chart if `--chart` is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS.json")
    parser.add_argument("--chart", type=Path, metavar="FILE")
    parser.add_argument("--force", action="store_true", help="replace the chart if it exists")
    chosen = parser.parse_args(arguments)
    if chosen.chart:
        try:
            check_absent(chosen.chart, force=chosen.force)
        except OSError as error:
            parser.error(str(error))
    runs = [read(path) for path in chosen.results]
    print(table(runs))
    if memory := memory_table(runs):
        print(f"\n{memory}")
    if chosen.chart:
        from .charts import ratios_of_runs

        ratios_of_runs(runs, chosen.chart)


if __name__ == "__main__":
    main()
