"""Compiling: no garbage collection meanwhile, and a cache on disk that may be damaged."""

from __future__ import annotations

import gc
import importlib
import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba import config, njit, types
from numba.core.errors import TypingError

from minidl.kernels.cpu.runtime import jit as compiling
from minidl.kernels.cpu.runtime.jit import device_function, intrinsic, jit

searched: list[bool] = []  # whether garbage was collected while `watch` was compiled


@intrinsic
def watch(typing):
    searched.append(gc.isenabled())
    return types.void(), lambda context, builder, signature, values: context.get_dummy_value()


@device_function
def times(x, factor):
    if x < 0:
        raise ValueError("below zero")
    return x * factor


@njit
def gives(x, y):
    return times(x, 2) + times(x, 3) + times(x, y)


@njit
def watched():
    watch()


@njit
def fails(x):
    return x.there_is_no_such_thing


def test_literal_numbers_are_not_compiled_one_by_one() -> None:
    assert gives(5, 7) == 60
    assert times.signatures == [(types.int64, types.int64)]


def test_errors_of_device_functions_reach_python() -> None:
    with pytest.raises(ValueError, match="below zero"):
        gives(-1, 1)


def test_no_private_part_of_numba_is_used() -> None:
    """Its compiler, its code libraries and its lists of passes change with each version."""
    private = ("compiler", "codegen", "typed_passes", "untyped_passes", "compiler_machinery")
    for path in Path("minidl").rglob("*.py"):
        assert not [m for m in private if f"numba.core.{m}" in path.read_text()], path


def test_garbage_is_collected_again_after_compiling() -> None:
    assert gc.isenabled()
    watched()
    assert searched == [False] * len(searched) and searched and gc.isenabled()
    with pytest.raises(TypingError):
        fails(1)
    assert gc.isenabled()
    gc.disable()
    try:
        watched.recompile()
        assert not gc.isenabled()
    finally:
        gc.enable()


# --- compiled code on disk ------------------------------------------------------------------------


@pytest.fixture
def twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Return () -> a function that doubles, compiled, or read from tmp_path / "kept"."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(compiling._Cache, "reported", False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "source.py").write_text("def twice(x):\n    return 2 * x\n")

    def make() -> Any:
        monkeypatch.delitem(sys.modules, "source", raising=False)
        return jit(importlib.import_module("source").twice)

    return make


def flipped(data: bytes) -> bytes:
    """Flip one bit in the middle of the machine's instructions."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "its end is zeros": lambda data: data[:-40] + bytes(40),
    "noise": lambda data: random.Random(0).randbytes(len(data)),
    "of another version": lambda data: pickle.dumps("0.1") + data,
}


@pytest.mark.parametrize("damage", [*DAMAGE.values(), flipped], ids=[*DAMAGE, "one bit"])
@pytest.mark.parametrize("kind", [".nbi", ".nbc"])
def test_a_damaged_file_of_the_cache_is_made_anew(
    kind: str,
    damage: Callable[[bytes], bytes],
    twice: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert twice()(3) == 6
    (file,) = (tmp_path / "kept").rglob("*" + kind)
    file.write_bytes(damage(file.read_bytes()))
    assert twice()(3) == 6
    told = capsys.readouterr().err.splitlines()
    assert len(told) <= 1
    if kind == ".nbc":
        assert "Numba's cache failed (ValueError: source.twice" in told[0]
    again = twice()
    assert again(3) == 6 and sum(again.stats.cache_hits.values()) == 1  # the file is whole again
    assert not capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_told_once(
    twice: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiling.IndexDataCacheFile, "_open_for_write", full)
    made = twice()
    assert made(3) == 6 and made(0.5) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert "minidl: compiling anew, as Numba's cache failed" in told and "No space left" in told

    def nowhere(*_: Any) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(compiling._Cache, "reported", False)
    monkeypatch.setattr(compiling._Cache, "__init__", nowhere)
    assert twice()(3) == twice()(3) == 6
    (told,) = capsys.readouterr().err.splitlines()
    assert "no locator available" in told
