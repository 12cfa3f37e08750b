"""The measurements of the book: gradient checks, and times on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.harness import compare, copied
from minidl import gradients, kernels, ops
from minidl.gradcheck_cases import Case
from minidl.kernels import reference

from .subjects import Subject, recorded, timed_call

ROUNDS, BLOCK_SECONDS = 3, 0.01


@dataclass(frozen=True)
class Times:
    """Medians in milliseconds. kernels: (name, Numba's time, the reference's time)."""

    shapes: list[tuple[int, ...]]
    value: float
    with_gradients: float
    kernels: list[tuple[str, float, float]]


def checked(subject: Subject) -> list[tuple[Case, float]]:
    """Return each case of the gradient check with its largest relative error."""
    return [(case, case.error()) for case in subject.cases]


def timed(subject: Subject, threads: int) -> Times:
    """Time the value, the value with all gradients of its sum, and kernels and references."""
    function, inputs, wanted = timed_call(subject)

    def value() -> Any:
        return function(*inputs)

    def with_gradients() -> Any:
        return gradients(ops.sum(function(*inputs)), wanted)

    with recorded() as calls:
        with_gradients()
    return Times(
        [x.shape for x in inputs],
        _ms(value, threads),
        _ms(with_gradients, threads),
        [(name, *_beside(name, copied(calls[name]), threads)) for name in calls],
    )


def _ms(function: Any, threads: int) -> float:
    return compare(
        "", function, {}, threads=threads, rounds=ROUNDS, block_seconds=BLOCK_SECONDS
    ).ours_ms


def _beside(name: str, arguments: tuple[Any, ...], threads: int) -> tuple[float, float]:
    ours, plain = getattr(kernels, name), getattr(reference, name)
    result = compare(
        name,
        lambda: ours(*arguments),
        {"plain": lambda: plain(*arguments)},
        threads=threads,
        rounds=ROUNDS,
        block_seconds=BLOCK_SECONDS,
    )
    return result.ours_ms, result.modes["plain"]
