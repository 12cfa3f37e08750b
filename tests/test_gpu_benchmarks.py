"""GPU benchmarks without a GPU: the clock, the rows, and the message if there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import convolutions, gpu, harness, kernels, options, pictures, training
from benchmarks.work import Work
from minidl import device as devices
from minidl import gpu_support
from minidl.device import CPU, Device
from minidl.kernels.gpu import convolution
from minidl.models.context_encoder.trainer import Settings


class Events:
    """CuPy's events on a GPU that finishes all work at once when waited for."""

    def __init__(self) -> None:
        self.now, self.waited, self.said = 0.0, 0, []  # type: ignore[var-annotated]
        cuda = SimpleNamespace(Event=self.event, get_elapsed_time=lambda a, b: b.at - a.at)
        self.device = Device("gpu", SimpleNamespace(cuda=cuda))

    def event(self) -> Any:
        event = SimpleNamespace(at=float("nan"))

        def record() -> None:
            event.recorded = True

        def synchronize() -> None:
            assert event.recorded
            self.waited += 1
            event.at = self.now

        event.record, event.synchronize = record, synchronize
        return event


def test_the_clock_waits_for_the_gpu() -> None:
    """It also adds up milliseconds of events to seconds."""
    events = Events()
    clock = gpu.Clock(events.device)
    first = clock()
    events.now += 1500.0
    assert clock() - first == pytest.approx(1.5)
    events.now += 500.0
    assert clock() - first == pytest.approx(2.0)
    assert events.waited == 4

    def call() -> None:
        events.now += 10.0

    result = harness.compare("f", call, {"g": call}, threads=1, clock=clock, rounds=3)
    assert result.ours_ms == pytest.approx(10) and result.ratio == pytest.approx(1)


@pytest.mark.parametrize("module", [kernels, training, pictures, convolutions])
def test_without_a_gpu_it_says_so(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_support, "why_no_gpu", lambda: "CuPy is not installed")
    monkeypatch.setattr(options, "use_threads", lambda count, torch: None)
    with pytest.raises(SystemExit) as ended:
        module.main([*(() if module is convolutions else ("--device", "gpu")), "--against", "none"])
    assert ended.value.code == 0
    assert "nothing is measured on a GPU: CuPy is not installed\n" in capsys.readouterr().out


@pytest.fixture
def works() -> dict[str, Work]:
    return {
        "da": training.pre_training(pixels=16, hidden=24, batch=10),
        "ssda": training.fine_tuning(pixels=16, hidden=24, batch=10),
        "players": training.both_players(Settings(batch=2, width=0.05)),
        "in use": training.in_use(Settings(batch=2, width=0.05)),
        "denoise": pictures.denoising(20, patch=4, hidden=8),
        "fill": pictures.inpainting(64, width=0.1),
    }


def test_rows_as_written_and_as_a_graph(works: dict[str, Work]) -> None:
    """The rows of the table and their samples per second, on a CPU that stands in for a GPU."""
    now = iter(range(10**6))
    graphs_of = {"da": 2, "ssda": 2, "players": 1, "in use": 2, "denoise": 1, "fill": 1}
    for name, graphs in graphs_of.items():
        results = list(gpu.timed(
            name, "", works[name], device=CPU, clock=lambda: next(now) * 0.25,
            torch=False, compiled=False, rounds=1,
        ))  # fmt: skip
        assert [r.name for r in results] == [f"{name}, gpu", f"{name}, gpu graph"][:graphs]
        for result in results:
            expected = works[name].batch / (result.ours_ms / 1e3)
            assert result.figures == {"samples/s": pytest.approx(expected)}


def test_both_ways_to_every_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure both ways for the shapes of all networks; the choice is restored afterwards."""
    found = convolutions.shapes(width=0.05)
    assert len(found) > 15
    for size, (K, L, _, _), stride, pad in found.values():
        assert not convolution.is_product(size, (K, L), stride, pad)
    name = min(found, key=lambda n: found[n][0])
    before, asked = convolution.unrolls, []

    def conv2d(*arguments: Any) -> np.ndarray:
        asked.append(convolution.unrolls(np.dtype(np.float32)))
        return np.zeros(1, np.float32)

    given = {"conv2d": (), "conv2d_grad_x": (), "conv2d_grad_w": ()}
    monkeypatch.setattr(convolutions, "calls", lambda shape, device: given)
    for kernel in given:
        monkeypatch.setattr(convolutions.kernels, kernel, conv2d)
    now = iter(range(10**6))
    results = list(
        convolutions.measured(name, found[name], CPU, clock=lambda: next(now) * 1.0, rounds=1)
    )
    assert [r.name.rpartition(": ")[2] for r in results] == ["conv2d", "grad_x", "grad_w"]
    assert all(r.reference == "cuBLAS" for r in results) and set(asked) == {True, False}
    assert convolution.unrolls is before


def test_arguments_of_a_convolution_and_its_gradients() -> None:
    shape: convolutions.Shape = (8, 6), (3, 3, 2, 4), 2, (0, 1, 0, 1)
    for name, arguments in convolutions.calls(shape, CPU, batch=3).items():
        found = getattr(convolutions.kernels, name)(*arguments)
        expected = {"conv2d": (3, 4, 3, 4), "conv2d_grad_x": (3, 8, 6, 2)}
        assert found.shape == expected.get(name, (3, 3, 2, 4))


@pytest.mark.gpu
def test_peaks_of_this_gpu() -> None:
    device = devices.choose("gpu")
    found = gpu.peaks(device, gpu.Clock(device), side=512, count=1 << 20, rounds=2)
    assert min(found.values()) > 0
    assert gpu.header(device)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["da", "ssda", "players", "in use", "denoise", "fill"])
def test_rows_on_this_gpu(name: str, works: dict[str, Work]) -> None:
    device = devices.choose("gpu")
    for result in gpu.timed(
        name, "", works[name], device=device, clock=gpu.Clock(device),
        torch=False, compiled=False, rounds=1,
    ):  # fmt: skip
        assert result.ours_ms > 0
