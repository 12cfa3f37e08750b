"""Timing a function beside its references: warm up, alternate in blocks, take medians.

Machines drift and are shared, so absolute times mean little. The result is the median of ratios of
times that were measured one right after the other. Ratio = ours / the fastest reference's: below 1,
ours is faster.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Call = Callable[[], object]
Clock = Callable[[], float]  # seconds from an arbitrary start

BLOCK_SECONDS = 0.05  # a function is called for about this long before the next one
SLOW_SECONDS = 1.0  # a longer call is a block by itself


@dataclass(frozen=True)
class Result:
    """Medians in milliseconds, and the ratio of ours to the fastest reference's.

    ratio: the median of the ratios of all rounds; spread: their middle half. modes: the medians of
    all references. figures: other measurements, by name and unit. The fields that compare are None
    without a reference.
    """

    name: str
    threads: int
    ours_ms: float
    reference: str | None = None
    reference_ms: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    group: str = ""
    modes: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        line = f"{self.name:36}{self.ours_ms:11.3f} ms"
        if self.ratio is not None and self.spread is not None:
            low, high = self.spread
            line += f"{self.reference_ms:11.3f} ms  {self.reference or '':24}"
            line += f" ratio {self.ratio:5.2f} ({low:.2f} to {high:.2f})"
        for name, value in self.figures.items():
            line += f"  {name} {value:.3g}"
        return line


def compare(
    name: str,
    ours: Call,
    references: Mapping[str, Call],
    *,
    threads: int,
    group: str = "",
    rounds: int = 9,
    block_seconds: float = BLOCK_SECONDS,
    clock: Clock = time.perf_counter,
) -> Result:
    """Time all functions in alternating blocks of calls. The clock must wait for asynchronous work.

    With several threads the first call of a block does not count: the other library's workers still
    spin for a while, and take a core each.
    """
    functions = [ours, *references.values()]
    calls = [_calls_in_a_block(f, block_seconds, threads, clock) for f in functions]
    times = [
        [_block(f, n, threads > 1, clock) for f, n in zip(functions, calls, strict=True)]
        for _ in range(rounds)
    ]
    own, *others = (list(column) for column in zip(*times, strict=True))
    return summary(
        name, own, dict(zip(references, others, strict=True)), threads=threads, group=group
    )


def summary(
    name: str,
    ours: Sequence[float],
    references: Mapping[str, Sequence[float]],
    *,
    threads: int,
    group: str = "",
) -> Result:
    """Return the result of seconds by round, ours and every reference's."""
    own = 1e3 * statistics.median(ours)
    if not references:
        return Result(name, threads, own, group=group)
    modes = {mode: 1e3 * statistics.median(times) for mode, times in references.items()}
    best = min(modes, key=modes.__getitem__)
    ratios = sorted(a / b for a, b in zip(ours, references[best], strict=True))
    quarter = len(ratios) // 4
    return Result(
        name,
        threads,
        own,
        best,
        modes[best],
        statistics.median(ratios),
        (ratios[quarter], ratios[-1 - quarter]),
        group,
        modes,
    )


def _calls_in_a_block(function: Call, block_seconds: float, threads: int, clock: Clock) -> int:
    function()  # compiles, fills caches
    once = seconds(function, clock)
    if once >= SLOW_SECONDS:
        return 1
    return max(1 if threads == 1 else 2, round(block_seconds / max(1e-6, once)))


def _block(function: Call, calls: int, warm: bool, clock: Clock) -> float:
    """Return seconds per call; warm: make another call first, which does not count."""
    if warm:
        function()
    began = clock()
    for _ in range(calls):
        function()
    return (clock() - began) / calls


def seconds(function: Call, clock: Clock = time.perf_counter) -> float:
    """Return the seconds of one call."""
    return _block(function, 1, False, clock)


def best(call: Call, rounds: int, clock: Clock = time.perf_counter) -> float:
    """Return the seconds of the fastest of `rounds` calls, after a first one."""
    call()
    return min(seconds(call, clock) for _ in range(rounds))


def copied(value: Any, put: Callable[[np.ndarray], Any] = np.copy) -> Any:
    """Return a tuple or list with copies of its arrays and the same other values."""
    if isinstance(value, tuple | list):
        return type(value)(copied(v, put) for v in value)
    return put(value) if isinstance(value, np.ndarray) else value
