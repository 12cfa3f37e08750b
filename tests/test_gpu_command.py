"""The command line and the GPU: `doctor` with a GPU, and errors when its memory is full."""

from __future__ import annotations

import argparse
import json
from types import SimpleNamespace
from typing import Any

import pytest

import minidl.models.cli.doctor as command
from minidl import gpu_support
from minidl.device import Device
from minidl.models.cli import main, parser


class FakeGpu:
    """CuPy on a machine with a GPU."""

    def __init__(self, *, compiles: bool) -> None:
        def version() -> tuple[int, int]:
            if not compiles:
                raise RuntimeError("libnvrtc.so.12: cannot open shared object file")
            return 12, 9

        runtime = SimpleNamespace(
            getDeviceProperties=lambda i: {"name": b"NVIDIA A100"},
            memGetInfo=lambda: (3 << 30, 4 << 30),
            driverGetVersion=lambda: 12080,
            runtimeGetVersion=lambda: 12090,
        )
        self.cuda = SimpleNamespace(runtime=runtime, nvrtc=SimpleNamespace(getVersion=version))


@pytest.mark.parametrize(("compiles", "tf32"), [(True, "0"), (False, "1")])
def test_doctor_with_a_gpu(
    compiles: bool, tf32: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.gpu_support, "why_no_gpu", lambda: "")
    monkeypatch.setenv("CUPY_TF32", tf32)
    gpu = Device("gpu", FakeGpu(compiles=compiles))
    monkeypatch.setattr(command, "choose", lambda name: gpu)
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["gpu"] == {
        "name": "NVIDIA A100", "memory": "3.0 of 4.0 GiB free", "driver": "12.8", "CUDA": "12.9",
        "compiler": "NVRTC 12.9" if compiles else "missing: pip install 'minidl[cuda12-ctk]'",
        "TF32": "off; CUPY_TF32=1 is for tensor cores, and less exact" if tf32 == "0" else "on",
    }  # fmt: skip
    assert answer["device"] == "auto means gpu"


@pytest.mark.gpu
def test_doctor_on_this_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gpu"]["compiler"].startswith("NVRTC")
    assert gpu_support.driver_cuda()


FULL = "Out of memory allocating 4,096 bytes"
SMALLER = "; a smaller batch needs less: --batch "


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("train ssda --out new", f"{SMALLER}128"),
        ("train ssda --out new --batch 48", f"{SMALLER}24"),
        ("train ssda --out new --batch 1", "; --device cpu may have more"),
        ("train ssda --out new --batch 1 --device cpu", ""),
        ("train ssda --resume old", "; a new run with a smaller --batch needs less"),
        ("train context-encoder --data photos --out new", f"{SMALLER}8"),
        ("train context-encoder --data photos --out new --batch 6", f"{SMALLER}3"),
        ("denoise photo.png -o new.png", "; --device cpu may have more"),
    ],
)
def test_memory_that_is_full(
    given: str, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any, **named: Any) -> Any:
        raise MemoryError(FULL)  # CuPy's error is one of these

    for name in ("ssda.training.start", "ssda.training.resume", "context_encoder.training.start"):
        monkeypatch.setattr(f"minidl.models.{name}", full)
    monkeypatch.setattr("minidl.models.cli.repair.denoise", full)
    assert main(given.split()) == 2
    said = capsys.readouterr().err
    assert said == f"minidl {given.split()[0]}: {FULL}{advice}\n"


def commands(parser: argparse.ArgumentParser, words: str = "") -> dict[str, set[str]]:
    """Return {command: its options} of all commands that compute."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            rows = (commands(p, f"{words} {name}".strip()) for name, p in action.choices.items())
            return {name: options for row in rows for name, options in row.items()}
    return {words: set(parser._option_string_actions)}


def test_every_command_has_a_device() -> None:
    """The exception is doctor, which reports all devices."""
    found = commands(parser())
    assert len(found) >= 10
    assert [name for name, options in found.items() if "--device" not in options] == ["doctor"]
