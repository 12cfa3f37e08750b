"""What the command line says of a GPU: `doctor` where there is one, and where its memory ends."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

import models.cli.doctor as command
from minidl import device as devices
from minidl.device import Device
from models.cli import main


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
    monkeypatch.setattr(command.device, "why_no_gpu", lambda: "")
    monkeypatch.setenv("CUPY_TF32", tf32)
    gpu = Device("gpu", FakeGpu(compiles=compiles))
    monkeypatch.setattr(command.device, "choose", lambda name: gpu)
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["gpu"] == {
        "name": "NVIDIA A100", "memory": "3.0 of 4.0 GiB free", "driver": "12.8", "CUDA": "12.9",
        "compiler": "NVRTC 12.9" if compiles else "missing: pip install 'minidl[cuda12-ctk]'",
        "TF32": "off; CUPY_TF32=1 is faster and less exact" if tf32 == "0" else "on",
    }  # fmt: skip
    assert answer["device"] == "auto means gpu"


@pytest.mark.gpu
def test_doctor_on_this_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gpu"]["compiler"].startswith("NVRTC")
    assert devices.driver_cuda()


@pytest.mark.parametrize(("given", "advice"), [("", "N"), ("--batch 48", "24"), ("--batch 1", "1")])
def test_memory_that_is_full(
    given: str, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(options: Any) -> int:
        raise MemoryError("Out of memory allocating 4,096 bytes")  # CuPy's error is one of these

    monkeypatch.setattr("models.cli.train.ssda", full)
    assert main(["train", "ssda", "--out", "nowhere", *given.split()]) == 2
    assert capsys.readouterr().err == (
        "minidl train: Out of memory allocating 4,096 bytes; a smaller batch needs less: "
        f"--batch {advice}\n"
    )
