"""Recordings of launches: in the right order, and on a GPU with the right numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import gradients, losses, nn, optim
from minidl.cuda_graph import captured, captured_turns
from minidl.device import CPU, Device, is_recording, to_cpu


class FakeCuda:
    """CuPy's part in a recording: it notes each request."""

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
    """A call is tried, recorded, replayed; each time its work is done once when it returns."""
    cuda = FakeCuda()

    def compute() -> str:
        cuda.said.append("compute")
        assert is_recording()  # the first time too: the same kernels are then loaded
        return "result"

    step = captured(compute, cuda.device)
    within = ["using_allocator", "enter", "enter"]  # the pool and the stream of the recording
    tried = ["get_current_stream", "synchronize", *within]
    # after its last result, the generator is asked for more
    for expected in (
        ["MemoryPool", "Stream", *tried, "compute", "synchronize", "exit", "exit",
         *tried, "synchronize", "exit", "exit"],
        [*within, "begin_capture", "compute", "end_capture", "exit", "exit",
         "get_current_stream", "launch",
         *within, "begin_capture", "end_capture", "exit", "exit"],
        ["get_current_stream", "launch"],
        ["get_current_stream", "launch"],
    ):  # fmt: skip
        cuda.said.clear()
        assert step() == "result"
        assert cuda.said == expected
        assert not is_recording()


def test_turns_are_graphs_of_their_own() -> None:
    """Between two graphs the caller works, each time in the same order."""
    cuda = FakeCuda()

    def compute() -> Iterator[str]:
        cuda.said.append("compute")
        yield "first"
        assert is_recording()
        cuda.said.append("compute more")
        yield "second"

    step, order = captured_turns(compute, cuda.device), []
    for _ in range(3):
        cuda.said.clear()
        for result in step():
            assert not is_recording()
            cuda.said.append(result)
        order.append([w for w in cuda.said if w in ("compute", "compute more", "launch", "first",
                                                    "second")])  # fmt: skip
    assert order == [
        ["compute", "first", "compute more", "second"],
        ["compute", "launch", "first", "compute more", "launch", "second"],
        ["launch", "first", "launch", "second"],
    ]


def test_arguments_are_copied_to_where_they_were_recorded() -> None:
    """Other shapes have a recording of their own."""
    cuda, seen = FakeCuda(), []

    def compute(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x

    step = captured(compute, cuda.device)
    for value in (1, 2, 3):
        given = np.full(4, value)
        np.testing.assert_array_equal(step(given), given)
        assert seen[-1] is not given
    assert len(seen) == 2 and seen[0] is seen[1]
    assert step(np.zeros(5)).shape == (5,) and len(seen) == 3
    assert step(np.full(4, 6))[0] == 6 and len(seen) == 3


def test_a_recording_ends_where_its_function_fails() -> None:
    cuda = FakeCuda()

    def compute() -> None:
        if "begin_capture" in cuda.said:
            raise ValueError("half way")

    step = captured(compute, cuda.device)
    step()
    with pytest.raises(ValueError, match="half way"):
        step()
    assert cuda.said[-3:] == ["end_capture", "exit", "exit"]


def test_gradients_of_a_recording(device: Device, rng: np.random.Generator) -> None:
    """The gradients equal those of a step, also for new batches, and each call moves the running
    statistics once."""
    net, other = (
        nn.Sequential(
            nn.Conv2D(3, 8, kernel_size=3, rng=np.random.default_rng(1)),
            nn.BatchNorm(8), nn.ReLU(),
            nn.Conv2D(8, 3, kernel_size=3, rng=np.random.default_rng(2)),
        ).to(device)
        for _ in range(2)
    )  # fmt: skip
    adam, its = optim.Adam(net.parameters()), optim.Adam(other.parameters())

    def compute(net: nn.Module, x: Any, y: Any) -> list[Any]:
        return gradients(losses.mean_squared_error(net(x), y), net.parameters())

    step = captured(partial(compute, net), device)
    for _ in range(4):
        x, y = (device.put(rng.random((2, 6, 6, 3)).astype(np.float32)) for _ in range(2))
        found, expected = step(x, y), compute(other, x, y)
        for one, another in zip(found, expected, strict=True):
            np.testing.assert_allclose(to_cpu(one), to_cpu(another), rtol=1e-3, atol=1e-5)
        adam.step(found)
        its.step(expected)
    for name, array in other.state().items():
        np.testing.assert_allclose(to_cpu(net.state()[name]), to_cpu(array), rtol=1e-3, atol=1e-5)


def test_nothing_changes_on_the_cpu() -> None:
    def compute() -> int:
        return 3

    assert captured(compute, CPU) is compute
    assert captured_turns(compute, CPU) is compute  # type: ignore[arg-type, comparison-overlap]
