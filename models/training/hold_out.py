"""Pictures that are held out of a training, for validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def hold_out(items: Sequence[T], *, share: int, limit: int) -> tuple[list[T], list[T]]:
    """Return (training, validation) items: one in `share` is held out, at most `limit`.

    The held-out items come last first. A single item is in both lists.
    """
    held_out = range(len(items) - 1, -1, -max(share, -(-len(items) // limit)))
    training = [item for i, item in enumerate(items) if i not in held_out]
    return training or list(items), [items[i] for i in held_out]
