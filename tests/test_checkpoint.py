"""A checkpoint is read as it was written; anything else is refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from minidl import Tensor, checkpoint, optim
from minidl.checkpoint import CheckpointError, load, save
from minidl.device import Device
from minidl.files import replacing

GROUPS: dict[str, dict[str, np.ndarray]] = {
    "model": {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "layers.0/b": np.zeros(0)},
    "empty": {},
    "optimizer": {"steps": np.array(7), "m.0": np.arange(6.0).reshape(2, 3).T},
}
ABOUT = {"recipe": "σ 25", "sizes": [64, 256], "rate": 1e-3, "nothing": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a checkpoint, and return its path."""
    save(tmp_path / "old.safetensors", GROUPS, ABOUT)
    return tmp_path / "old.safetensors"


def assert_same(groups: dict[str, dict[str, np.ndarray]]) -> None:
    assert {g: set(named) for g, named in groups.items()} == {g: set(n) for g, n in GROUPS.items()}
    assert list(groups) == list(GROUPS)
    for group, named in GROUPS.items():
        for name, array in named.items():
            found = groups[group][name]
            assert (found.dtype, found.shape) == (array.dtype, array.shape), name
            np.testing.assert_array_equal(found, array)


def test_round_trip(path: Path, device: Device):
    on_device = {g: {n: device.put(a) for n, a in named.items()} for g, named in GROUPS.items()}
    save(path, on_device, ABOUT)
    groups, about = load(path)
    assert about == checkpoint.about(path) == ABOUT
    assert_same(groups)


def test_a_file_without_the_names_of_groups_is_read(path: Path):
    """Files were written like this before groups could be empty."""
    save_file({"model/w": np.ones(3)}, path, {"format": checkpoint.FORMAT, "about": "{}"})
    groups, about = load(path)
    assert (list(groups), groups["model"]["w"].tolist(), about) == (["model"], [1, 1, 1], {})


def test_groups_have_names(path: Path):
    metadata = {"format": checkpoint.FORMAT, "about": "{}", "groups": "5"}
    save_file({"model/w": np.ones(3)}, path, metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)


def test_a_group_is_one_name(path: Path):
    with pytest.raises(ValueError, match='save: group "a/b", expected a name without "/"'):
        save(path, {"a/b": {"c": np.ones(3)}}, {})


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_an_optimiser_goes_on_from_a_file(kind: Any, path: Path):
    def start() -> optim.Optimizer:
        return kind([Tensor(np.ones((2, 3), np.float32))], lr=0.1)

    first, second = start(), start()
    first.step([np.full((2, 3), 0.5, np.float32)])
    save(path, {"optimizer": first.state()}, {})
    second.load_state(load(path)[0]["optimizer"])
    expected = first.state()
    assert all((array == expected[name]).all() for name, array in second.state().items())
    assert second.steps == 1


def test_the_file_has_the_rights_of_any_new_file(path: Path):
    plain = path.with_name("plain")
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode


# --- complete or not there -----------------------------------------------------------------------


def half_a_file(arrays: Any, to: Path, metadata: Any) -> None:
    to.write_bytes(b"half of it")
    raise KeyboardInterrupt


@pytest.mark.parametrize("existing", [True, False])
def test_a_failure_leaves_what_was_there(
    existing: bool, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checkpoint, "save_file", half_a_file)
    target = path if existing else path.with_name("new.safetensors")
    with pytest.raises(KeyboardInterrupt):
        save(target, {"model": {"w": np.ones(3)}}, {})
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert_same(load(path)[0])


def test_what_is_not_fit_for_json_changes_nothing(path: Path):
    with pytest.raises(TypeError):
        save(path, GROUPS, {"generator": object()})
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert load(path)[1] == ABOUT


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path):
    with pytest.raises(OSError, match=re.escape(f"{tmp_path / 'absent'}: no such folder")):
        save(tmp_path / "absent" / "a.safetensors", GROUPS, ABOUT)


def test_replacing_keeps_the_suffix(tmp_path: Path):
    with replacing(tmp_path / "a.png") as temporary:
        assert (temporary.suffix, temporary.parent) == (".png", tmp_path)
        temporary.write_text("new")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.png": "new"}


# --- damaged, or something else ------------------------------------------------------------------


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def foreign(path: Path) -> None:
    save_file({"w": np.ones(3)}, path)


def half_foreign(path: Path) -> None:
    save_file({"w": np.ones(3)}, path, {"format": checkpoint.FORMAT})


def no_json(path: Path) -> None:
    save_file({"w": np.ones(3)}, path, {"format": checkpoint.FORMAT, "about": "{"})


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[9] ^= 0xFF  # cut within the header
    path.write_bytes(data)


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, "no such checkpoint"),
    "folder": (folder, "no such checkpoint"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "text": (lambda path: path.write_text("epoch,loss\n1,0.5\n" * 9), "damaged"),
    "json": (lambda path: path.write_text(json.dumps(ABOUT)), "damaged"),
    "zeros": (lambda path: path.write_bytes(bytes(1000)), "damaged"),
    "foreign": (foreign, "not one of minidl"),
    "no description": (half_foreign, "damaged"),
    "no JSON": (no_json, "damaged"),
    "header": (flipped, "damaged"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "damaged"),
}


def refused(path: Path) -> str:
    """Return the one line with which both ways of reading refuse the file."""
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        checkpoint.about(path)
    return message


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_checkpoint_is_refused(name: str, path: Path):
    change, words = BAD[name]
    change(path)
    assert words in refused(path)


def test_a_file_cut_off_anywhere_is_refused(path: Path):
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert "damaged" in refused(path)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.safetensors"
    save(path, {"model": {"w": np.ones(2)}}, {})
    before = path.read_bytes()

    def no_room(*arguments: Any) -> None:
        raise SafetensorError("no space left")

    monkeypatch.setattr(checkpoint, "save_file", no_room)
    with pytest.raises(OSError, match=re.escape(f"{path}: cannot be written (no space left)")):
        save(path, {"model": {"w": np.zeros(2)}}, {})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
