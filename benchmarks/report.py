"""The results of a benchmark: printed one by one, then as a JSON file and a chart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from minidl.files import replacing

from .harness import Result


def report(results: Iterable[Result], json_path: Path | None, chart: Path | None) -> None:
    """Print every result as soon as it is measured; then write the JSON file and the chart."""
    done = []
    for result in results:
        print(result, flush=True)
        done.append(result)
    write(done, json_path)
    if chart:
        from . import charts  # and with it matplotlib, which would count as memory

        if any(result.ratio is not None for result in done):
            charts.ratios(done, chart)
        else:
            print(f"no {chart}: nothing was compared")


def write(results: Sequence[Result], path: Path | None) -> None:
    """Write the results as a list of JSON objects."""
    if path:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
