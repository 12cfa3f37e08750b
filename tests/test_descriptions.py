"""Model files and checkpoints with wrong descriptions: one CheckpointError, at once, little memory.

Each wrong value is put into a good file.
"""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from minidl import checkpoint
from minidl.checkpoint import CheckpointError
from minidl.models.context_encoder import Inpainter
from minidl.models.context_encoder.inpainter import checksum
from minidl.models.ssda import SSDA, Coding, Noise, Restorer, TextCoding

Load = Callable[[Path], Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make good files, once."""
    here, rng = tmp_path_factory.mktemp("good"), np.random.default_rng(0)
    Restorer(SSDA(36, (8, 8), rng=rng), 6, Coding(), Noise(25)).save(here / "ssda")
    Inpainter.new("compact", "region", overlap=0, rng=rng, width=0.05)[0].save(here / "filler")
    return here


def with_description(good: Path, path: Path, text: str) -> None:
    """Return a good file with another description."""
    content = good.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["about"] = text
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + content[8 + length :])


def refused(load: Load, path: Path) -> str:
    """Return the one line that refuses a file, and check that it took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 600
    return message


NAN, INFINITE, HUGE = float("nan"), float("inf"), 10**7
NO_DESCRIPTIONS = ["[1]", "null", '"x"', "3", "NaN", "[" * 10**5 + "]" * 10**5, "1" * 5000, "", "{"]


def of(*values: Any) -> tuple[Any, ...]:
    return values


LIES: dict[str, list[dict[str, Any]]] = {
    "ssda": [
        *({"model": value} for value in of(None, 3, [], "context-encoder", "\033[2J")),
        *({"patch": value} for value in of(None, "6", 6.0, NAN, 0, -6, 7, 1000, 10**30, [6], True)),
        *(
            {"hidden": value}
            for value in of(
                None, 8, [], [8], [8, 8, 8], [NAN, 8], [8.0, 8], [-8, 8], [0, 8], ["8", 8],
                [HUGE, 8], [HUGE, HUGE], [900] * 2000, [900] * 60, [[8, 8]], {"a": 8},
            )
        ),
        *(
            {"coding": value}
            for value in of(
                None, 3, [], {"inner": 2}, {"gain": {}}, {"gain": 0}, {"gain": INFINITE},
                {"centre": "mode"}, {"other": 1}, {"inner": 4, "extreme": 0}, {"margin": 0.5},
            )
        ),
        *(
            {"damage": value}
            for value in of(
                None, 3, {}, {"kind": "rain"}, {"kind": "noise"}, {"kind": "noise", "sigma": NAN},
                {"kind": "noise", "sigma": "25"}, {"kind": "text", "smallest": 9, "largest": 3},
            )
        ),
    ],
    "filler": [
        *({"net": value} for value in of(None, [1], "vgg", {}, 3)),
        *({"mask": value} for value in of(None, {}, "hole", ["region"], "\u202e")),
        *({"overlap": value} for value in of(None, "a", -1, 1.5, 10**30, 32, NAN)),
        *({"width": value} for value in of(None, "1", 0, -1, NAN, INFINITE, 1e9, 30, 0.06, True)),
        *({"rest": value} for value in of(None, 3, "", "/", "../../etc/passwd", [], "filler")),
    ],
}  # fmt: skip
LOADERS: dict[str, Load] = {"ssda": Restorer.load, "filler": Inpainter.load}


@pytest.mark.parametrize("kind", LOADERS)
def test_a_description_that_is_none(kind: str, kept: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in NO_DESCRIPTIONS:
        with_description(kept / kind, path, text)
        assert "not a checkpoint, or damaged" in refused(LOADERS[kind], path)
        refused(checkpoint.about, path)


@pytest.mark.parametrize(
    ("kind", "lie"), [(kind, lie) for kind, lies in LIES.items() for lie in lies], ids=str
)
def test_a_lie(kind: str, lie: dict[str, Any], kept: Path, tmp_path: Path) -> None:
    good = checkpoint.about(kept / kind)
    with_description(kept / kind, tmp_path / "file", json.dumps({**good, **lie}))
    refused(LOADERS[kind], tmp_path / "file")
    for name in lie:
        with_description(
            kept / kind, tmp_path / "file",
            json.dumps({key: value for key, value in good.items() if key != name}),
        )  # fmt: skip
        if name in good:
            refused(LOADERS[kind], tmp_path / "file")


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    def apply(groups: dict[str, dict[str, np.ndarray]]) -> None:
        groups["model"][name] = change(groups["model"][name])

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        lambda groups: groups.clear(),
        lambda groups: groups.update(other=groups.pop("model")),
        lambda groups: groups["model"].clear(),
        lambda groups: groups["model"].update(more=np.ones(3)),
        lambda groups: groups["model"].popitem(),
        changed("autoencoders.0.encoder.w", lambda w: w.T.copy()),
        changed("autoencoders.0.encoder.w", lambda w: w[None]),
        changed("autoencoders.0.encoder.w", lambda w: w[:0]),
        changed("autoencoders.0.encoder.w", lambda w: w * np.nan),
        changed("autoencoders.0.encoder.b", lambda b: b + np.inf),
        changed("autoencoders.0.encoder.b", lambda b: b.astype(np.int64)),
        changed("autoencoders.0.encoder.b", lambda b: b > 0),
    ],
    ids=range(12),
)
def test_other_arrays(spoil: Any, kept: Path, tmp_path: Path) -> None:
    groups, about = checkpoint.load(kept / "ssda")
    spoil(groups)
    checkpoint.save(tmp_path / "file", groups, about)
    assert "a damaged ssda checkpoint" in refused(Restorer.load, tmp_path / "file")


def test_arrays_of_no_group(tmp_path: Path) -> None:
    about = {"format": checkpoint.FORMAT, "about": "{}"}
    for key, groups in (("w", "[]"), ("b/w", '["a"]'), ("a/w", "[1]"), ("a/w", '{"a": 1}')):
        save_file({key: np.ones(3)}, tmp_path / "file", {**about, "groups": groups})
        refused(checkpoint.load, tmp_path / "file")


def test_a_rest_without_a_generator(kept: Path, tmp_path: Path) -> None:
    groups, about = checkpoint.load(kept / "filler")
    checkpoint.save(tmp_path / "other", {"critic": groups["generator"]}, about)
    rest = {"rest": "other", "check": checksum(tmp_path / "other")}
    checkpoint.save(tmp_path / "file", groups, {**about, **rest})
    assert "no group 'generator'" in refused(Inpainter.load, tmp_path / "file")


def test_what_is_small_stays_what_it_was(kept: Path) -> None:
    """Networks that were built of zeros are those of the file."""
    restorer, inpainter = Restorer.load(kept / "ssda"), Inpainter.load(kept / "filler")
    models: list[tuple[str, str, Any]] = [
        ("ssda", "model", restorer.network), ("filler", "generator", inpainter.generator),
    ]  # fmt: skip
    for kind, group, network in models:
        arrays = checkpoint.load(kept / kind)[0][group]
        assert arrays.keys() == network.state().keys()
        for name, array in network.state().items():
            np.testing.assert_array_equal(array, arrays[name])
    with pytest.raises(ValueError, match="expected an even number more"):
        TextCoding(inner=3).sizes(36)
