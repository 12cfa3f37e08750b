"""A piece of work that is timed: ours, and its counterpart in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minidl.device import Device

from . import harness

if TYPE_CHECKING:
    from .torch_models import Mode

Step = Callable[[], Any]
Record = Callable[[Step, Device], Step]  # `minidl.cuda_graph.captured`, or `not_recorded`


@dataclass(frozen=True)
class Work:
    """A piece of work: `ours()` and `theirs(mode)` each return a new function that does it.

    The function returns its result. Both draw their weights and data from the same seed. `ours`
    takes the device and, where a part of the step can be recorded, a `Record`.
    """

    ours: Callable[..., Step]
    theirs: Callable[[Mode], Step]
    pictures: bool = True  # if PyTorch has an order of channels to choose
    batch: int = 0  # samples


def not_recorded(compute: Step, device: Device) -> Step:
    """Return `compute` itself, in place of a recording."""
    return compute


def timed(
    name: str, group: str, work: Work, *, threads: int, torch: bool, compiled: bool, rounds: int
) -> harness.Result:
    """Time the work beside its counterpart in every mode, or without it."""
    references: dict[str, harness.Call] = {}
    if torch:
        from . import torch_models

        references |= torch_models.modes(work.theirs, pictures=work.pictures, compiled=compiled)
    return harness.compare(
        name, work.ours(), references, threads=threads, group=group, rounds=rounds
    )
