"""Results of several runs as one Markdown table and one chart: what the README shows.

python -m benchmarks.page RESULTS.json ... [--chart FILE.png]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from .harness import Result


def read(path: Path) -> list[Result]:
    """The results of a JSON file that a benchmark wrote."""
    rows = json.loads(path.read_text())
    return [Result(**{**row, "spread": row["spread"] and tuple(row["spread"])}) for row in rows]


def table(runs: Sequence[Sequence[Result]]) -> str:
    """A row for each name; for each run its time, the fastest reference's and their ratio."""
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
            mode = (row.reference or "").removeprefix("PyTorch").strip() or "eager"
            cells += [f"{row.ours_ms:.0f}, {row.reference_ms:.0f} ({mode})", f"**{row.ratio:.2f}**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and draw the chart if it is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS.json")
    parser.add_argument("--chart", type=Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    runs = [read(path) for path in chosen.results]
    print(table(runs))
    if chosen.chart:
        from .charts import together

        together(runs, chosen.chart)


if __name__ == "__main__":
    main()
