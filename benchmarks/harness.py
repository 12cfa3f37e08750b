"""Timing two functions side by side: warm up, alternate, wait for the device, take medians.

Machines drift and are shared: what is worth keeping is the ratio of two medians that were measured
in turn, not a time. Ratio = ours / reference: below 1, ours is faster.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import minidl
from minidl.checkpoint import replacing

BLOCK_SECONDS = 0.05  # a function is called for about so long before it is the other's turn


@dataclass(frozen=True)
class Result:
    """Medians in milliseconds, their ratio, and the middle half of the ratios of single rounds."""

    name: str
    threads: int
    ours_ms: float
    reference: str
    reference_ms: float
    ratio: float
    spread: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.spread
        return (
            f"{self.name:44}{self.ours_ms:10.3f} ms{self.reference_ms:10.3f} ms {self.reference:16}"
            f"ratio {self.ratio:5.2f}  ({low:.2f} to {high:.2f})"
        )


def compare(
    name: str,
    ours: Callable[[], object],
    reference: Callable[[], object],
    *,
    reference_name: str,
    threads: int,
    rounds: int = 9,
) -> Result:
    """Time both in alternate blocks of calls; each must leave its device idle."""
    calls = [_calls_in_a_block(f) for f in (ours, reference)]
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        a, b = (_block(f, n) for f, n in zip((ours, reference), calls, strict=True))
        times.append((a, b))
    ratios = sorted(a / b for a, b in times)
    ours_ms, reference_ms = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    quarter = len(ratios) // 4
    spread = (ratios[quarter], ratios[-1 - quarter])
    return Result(
        name, threads, ours_ms, reference_name, reference_ms, ours_ms / reference_ms, spread
    )


def _calls_in_a_block(function: Callable[[], object]) -> int:
    function()  # compiles, fills caches
    return max(1, round(BLOCK_SECONDS / max(1e-6, _block(function, 1))))


def _block(function: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - began) / calls


def options(description: str | None) -> argparse.Namespace:
    """The command line that all benchmarks share; fixes the number of threads."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    chosen = parser.parse_args()
    from threadpoolctl import threadpool_limits

    threadpool_limits(chosen.threads, user_api="blas")
    return chosen


def header(chosen: argparse.Namespace) -> None:
    """What the figures below were measured on."""
    versions = {"minidl": minidl.__version__, "python": platform.python_version()}
    for package in ("numpy", "numba"):
        versions[package] = importlib.metadata.version(package)
    print(f"{_processor()}, {chosen.threads} threads, float32")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))


def write(results: list[Result], path: Path | None) -> None:
    """The results as a list of JSON objects."""
    if path:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
