"""Choosing a device, moving arrays, and generators that continue from their state."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import device as devices
from minidl import gpu_support, random
from minidl.device import CPU, Device, DeviceError, to_cpu


def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def no_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.setattr(gpu_support.shutil, "which", lambda name: None)


def cupy_that(is_available: Callable[[], bool]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a function that installs a CuPy with this answer."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        cupy: Any = ModuleType("cupy")
        cupy.__spec__ = ModuleSpec("cupy", None)
        cupy.cuda = SimpleNamespace(is_available=is_available)
        monkeypatch.setitem(sys.modules, "cupy", cupy)

    return plant


def fails(error: Exception) -> Callable[[], bool]:
    def is_available() -> bool:
        raise error

    return is_available


ABSENT: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "no CuPy": (no_cupy, "CuPy is not installed (pip install 'minidl[cuda12]'"),
    "no GPU": (cupy_that(lambda: False), "CuPy finds no CUDA device (is the NVIDIA driver"),
    "broken": (cupy_that(fails(RuntimeError("no\nhope"))), "CuPy does not start: no"),
    "mute": (cupy_that(fails(OSError())), "CuPy does not start: OSError()"),
}


@pytest.mark.parametrize("name", ABSENT)
def test_without_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch):
    plant, words = ABSENT[name]
    plant(monkeypatch)
    monkeypatch.setattr(gpu_support, "driver_cuda", lambda: None)
    assert gpu_support.why_no_gpu().startswith(words) and "\n" not in gpu_support.why_no_gpu()
    assert devices.choose("auto") is devices.choose("cpu") is CPU
    with pytest.raises(DeviceError) as caught:
        devices.choose("gpu")
    assert str(caught.value).startswith(f"device gpu: {words}")
    assert str(caught.value).endswith("; use --device cpu, or repair that")


@pytest.mark.parametrize(
    ("takes", "command"),
    [
        ((12, 4), "pip install 'minidl[cuda12-ctk]'"),
        ((13, 0), "pip install 'minidl[cuda13-ctk]'"),
        ((14, 1), "pip install 'minidl[cuda13-ctk]'"),
        ((11, 8), "first a newer driver: this one supports CUDA 11.8, CuPy needs 12"),
    ],
)
def test_what_to_install(
    takes: tuple[int, int], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_toolkit(monkeypatch)
    monkeypatch.setattr(gpu_support, "driver_cuda", lambda: takes)
    cupy_that(lambda: False)(monkeypatch)
    assert f"the driver supports CUDA {takes[0]}.{takes[1]}" in gpu_support.why_no_gpu()
    assert gpu_support.why_no_gpu().endswith(f"{command})")
    no_cupy(monkeypatch)
    assert gpu_support.why_no_gpu() == f"CuPy is not installed ({command})"
    monkeypatch.setenv("CUDA_PATH", "/usr/local/cuda")
    assert gpu_support.pip_install(takes) == command.replace("-ctk", "")


class _Driver:
    """A driver that gives this answer when asked for its CUDA version."""

    def __init__(self, version: int, fault: int = 0) -> None:
        self.version, self.fault = version, fault

    def cuDriverGetVersion(self, place: Any) -> int:
        place._obj.value = self.version
        return self.fault


@pytest.mark.parametrize(
    ("driver", "takes"),
    [(_Driver(12040), (12, 4)), (_Driver(13000), (13, 0)), (_Driver(0), None),
     (_Driver(12040, fault=999), None), (object(), None)],
)  # fmt: skip
def test_the_driver_is_asked(driver: Any, takes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_support.ctypes, "CDLL", lambda name: driver)
    assert gpu_support.driver_cuda() == takes


def test_no_driver_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(gpu_support.ctypes, "CDLL", absent)
    assert gpu_support.driver_cuda() is None


def test_with_a_gpu(monkeypatch: pytest.MonkeyPatch):
    cupy_that(lambda: True)(monkeypatch)
    assert gpu_support.why_no_gpu() == ""
    assert devices.choose().name == devices.choose("gpu").name == "gpu"
    assert devices.choose("gpu").xp is sys.modules["cupy"]
    assert devices.choose("cpu") is CPU


@pytest.mark.parametrize("name", ["", "GPU", "cuda", "tpu"])
def test_other_names_are_refused(name: str):
    with pytest.raises(ValueError, match=f"device '{name}': expected auto, cpu or gpu"):
        devices.choose(name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_put_and_back(dtype: Any, device: Device, rng: np.random.Generator):
    array = rng.integers(0, 255, (3, 5)).astype(dtype)[:, ::2]
    there = device.put(array)
    assert devices.of(there) == device.name
    assert device.put(there) is there
    back = to_cpu(there)
    assert type(back) is np.ndarray and back.dtype == dtype
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(CPU.put(there), array)
    device.synchronize()


@pytest.mark.parametrize("value", [1, 2.0, [1, 2], np.float32(3), np.zeros(3)])
def test_numbers_and_lists_live_on_the_cpu(value: Any):
    assert devices.of(value) == "cpu"


def test_one_device_for_all_but_numbers(as_if_on_gpu: Callable[[np.ndarray], np.ndarray]):
    here, there = np.ones((2, 3)), as_if_on_gpu(np.ones((3,)))
    devices.check_same("op", (here, here, 2.0, as_if_on_gpu(np.array(2.0))))
    devices.check_same("op", (there, 2.0, there))
    with pytest.raises(DeviceError) as caught:
        devices.check_same("op", (here, 2.0, there))
    assert str(caught.value) == (
        "op: inputs on two devices: input 0 (2, 3) on the cpu, input 2 (3,) on the gpu; "
        "move them with Device.put"
    )


def test_same_seed_same_numbers(device: Device):
    def draw(seed: int) -> list[float]:
        return random.generator(seed, device).standard_normal(5).tolist()

    assert draw(1) == draw(1) != draw(2)
    assert devices.of(random.generator(1, device).standard_normal(5)) == device.name


def test_a_generator_goes_on_from_its_state(rng: np.random.Generator):
    rng.integers(10, size=3, dtype=np.uint32)  # leaves half a number in the state, which counts
    state = random.get_state(rng)
    expected = [rng.random(), int(rng.integers(99)), rng.standard_normal(4).tolist()]
    other = np.random.default_rng(99)
    random.set_state(other, state)
    assert [other.random(), int(other.integers(99)), other.standard_normal(4).tolist()] == expected
    assert isinstance(state, str)


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", "[" * 100_000,
                                  '{"bit_generator": "MT19937", "state": {}}',
                                  '{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}}'],
                         ids=range(7))  # fmt: skip
def test_other_text_is_no_state_of_a_generator(text: str, rng: np.random.Generator):
    before = random.get_state(rng)
    with pytest.raises(ValueError, match=r"not a generator's state \("):
        random.set_state(rng, text)
    assert random.get_state(rng) == before
