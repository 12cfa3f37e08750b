"""Checkpoints: named groups of arrays and a description of them, in one safetensors file.

A file is complete or it is not there: it is written under another name and renamed. It holds
numbers and text only, never code; what is not a minidl checkpoint is refused before anything is
built from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .device import Array, to_cpu

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
    with _opened(path) as (file, metadata):
        named = json.loads(metadata.get("groups", "[]"))  # for those that are empty
        groups: dict[str, dict[str, np.ndarray]] = {group: {} for group in named}
        for key in file.keys():  # noqa: SIM118, safe_open is no mapping
            group, _, name = key.partition("/")
            groups.setdefault(group, {})[name] = file.get_tensor(key)
        return groups, json.loads(metadata["about"])


def about(path: str | Path) -> dict[str, Any]:
    """The description that `save` was given, without the arrays. Raises as `load`."""
    with _opened(path) as (_, metadata):
        return json.loads(metadata["about"])


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """A checkpoint's file and its metadata, with every fault turned into a CheckpointError."""
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path}: a safetensors file, but not one of minidl's")
            yield file, metadata
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint, or damaged ({error})") from error


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file's name beside `path`, renamed to it at the end; on any error, removed.

    Raises OSError, such as for a folder that is not there.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's own rights are for one user alone
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
