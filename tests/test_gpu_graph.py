"""Recording what a function launches: in the right order, and on a GPU with the right numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import gradients, losses, nn, optim
from minidl.device import CPU, Device, is_recording, to_cpu
from minidl.graph import captured


class FakeCuda:
    """CuPy's part in a recording: it writes down what it is asked."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.device = Device("gpu", SimpleNamespace(cuda=self))

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any, **named: Any) -> FakeCuda:
            self.said.append(name)
            return self

        return ask

    def __enter__(self) -> None:
        self.said.append("enter")

    def __exit__(self, *error: Any) -> None:
        self.said.append("exit")


def test_the_order_of_a_recording() -> None:
    cuda = FakeCuda()

    def compute() -> str:
        cuda.said.append("compute")
        assert is_recording()  # the first time too: the same kernels are then loaded
        return "result"

    step = captured(compute, cuda.device)
    assert cuda.said == [
        "get_current_stream", "synchronize", "Stream", "MemoryPool", "using_allocator",
        "enter", "enter", "compute", "synchronize", "begin_capture", "compute", "end_capture",
        "exit", "exit",
    ]  # fmt: skip
    assert not is_recording()
    cuda.said.clear()
    assert step() == step() == "result"
    assert cuda.said == ["get_current_stream", "launch"] * 2


def test_a_recording_ends_where_its_function_fails() -> None:
    cuda = FakeCuda()

    def compute() -> None:
        if "begin_capture" in cuda.said:
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        captured(compute, cuda.device)
    assert cuda.said[-3:] == ["end_capture", "exit", "exit"]


def test_gradients_of_a_recording(device: Device, rng: np.random.Generator) -> None:
    """They are those of a step, for batches that the recording has not seen."""
    net = nn.Sequential(
        nn.Conv2D(3, 8, window=3, rng=rng), nn.BatchNorm(8), nn.ReLU(),
        nn.Conv2D(8, 3, window=3, rng=rng),
    ).to(device)  # fmt: skip
    adam = optim.Adam(net.parameters())
    x, y = (device.put(rng.random((2, 6, 6, 3)).astype(np.float32)) for _ in range(2))

    def compute() -> list[Any]:
        return gradients(losses.mean_squared_error(net(x), y), net.parameters())

    step = captured(compute, device)
    for _ in range(3):
        x[...] = device.put(rng.random(x.shape).astype(np.float32))
        found = [to_cpu(g).copy() for g in step()]
        for one, other in zip(found, compute(), strict=True):
            np.testing.assert_allclose(one, to_cpu(other), rtol=1e-3, atol=1e-5)
        adam.step(step())


def test_nothing_changes_on_the_cpu() -> None:
    def compute() -> int:
        return 3

    assert captured(compute, CPU) is compute
