"""Checkpoints: named groups of arrays and a description of them, in one safetensors file.

A file is complete or it is not there: it is written under another name and renamed. It holds
numbers and text only, never code; what is not a minidl checkpoint is refused before anything is
built from it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from . import schema
from .device import Array, to_cpu
from .files import replacing

FORMAT = "minidl-1"


class CheckpointError(ValueError):
    """A file that is missing, damaged, or not what was expected. The message is one line."""


def save(
    path: str | Path,
    groups: Mapping[str, Mapping[str, Array]],
    description: Mapping[str, Any],
) -> None:
    """Write {"model": module.state(), "optimizer": ...} and a description that is fit for JSON.

    An existing file is replaced only when the new one is complete. Raises OSError if it cannot be,
    and ValueError for a group with "/" in its name.
    """
    for group in groups:
        if "/" in group:
            raise ValueError(f'save: group "{group}", expected a name without "/"')
    arrays = {
        f"{group}/{name}": np.asarray(to_cpu(array), order="C")
        for group, named in groups.items()
        for name, array in named.items()
    }
    names, about = json.dumps(list(groups)), json.dumps(dict(description))
    metadata = {"format": FORMAT, "groups": names, "about": about}
    with replacing(path) as temporary:
        try:
            save_file(arrays, temporary, metadata)
        except SafetensorError as error:  # a full disk arrives as one of these
            raise OSError(f"{path}: cannot be written ({error})") from error


def load(path: str | Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """(groups, description) as `save` was given them, the description as JSON gives it back: lists
    for tuples. Raises CheckpointError for anything else."""
    with _opened(path) as (file, header):
        groups: dict[str, dict[str, np.ndarray]] = {group: {} for group in header.groups}
        for key in file.keys():  # noqa: SIM118, safe_open is no mapping
            group, slash, name = key.partition("/")
            if not slash or (header.groups and group not in groups):
                raise ValueError(f"an array {key!r} of no group")
            groups.setdefault(group, {})[name] = file.get_tensor(key)
        return groups, header.about


def about(path: str | Path) -> dict[str, Any]:
    """The description that `save` was given, without the arrays. Raises as `load`."""
    with _opened(path) as (_, header):
        return header.about


def numbers(
    groups: Mapping[str, Mapping[str, np.ndarray]], name: str, kinds: str = "f"
) -> Mapping[str, np.ndarray]:
    """A group of arrays, such as a network's parameters. Raises ValueError if it is not there, or
    if it holds anything but finite numbers of these kinds of dtypes."""
    if name not in groups:
        raise ValueError(f"no group {name!r}")
    for key, array in groups[name].items():
        if array.dtype.kind not in kinds or not np.isfinite(array).all():
            raise ValueError(f"{name}/{key} holds something else than finite numbers")
    return groups[name]


@dataclass(frozen=True)
class _Header:
    """A file's metadata: the groups' names, those of empty ones too, and the description."""

    groups: list[str]
    about: dict[str, Any]

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> _Header:
        """Raises KeyError or ValueError."""
        groups = schema.parse(metadata.get("groups", "[]"))
        about = schema.parse(metadata["about"])
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise ValueError("groups without names")
        if not isinstance(about, dict):
            raise ValueError("a description without names")
        return cls(groups, about)


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, _Header]]:
    """Yield a checkpoint's file and its header. Every fault raises CheckpointError."""
    try:
        if not Path(path).is_file():
            raise CheckpointError(f"{path}: no such checkpoint")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path}: a safetensors file, but not one of minidl's")
            yield file, _Header.read(metadata)
    except CheckpointError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint, or damaged ({error})") from error
