"""Shared by the tests: devices, data that may be absent, and stand-ins for CuPy and GPUs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from minidl import device as devices
from minidl import gpu_support
from minidl.device import Device
from minidl.kernels import gpu
from minidl.kernels.gpu import launch
from minidl.tensor import OPS
from tests import emulated_gpu

SHARED = Path(
    os.environ.get("MINIDL_SHARED_DATA", Path(__file__).resolve().parents[1] / "../shared/data")
)


# The same few examples each time; "attack" draws other and more examples at every run.
hypothesis.settings.register_profile(
    "tests", derandomize=True, database=None, deadline=None, max_examples=12
)
hypothesis.settings.register_profile("attack", deadline=None, max_examples=500, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("MINIDL_EXAMPLES", "tests"))


def chromium() -> str | None:
    """Return the browser for tests marked `browser`, if this machine has one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that this machine cannot run, and say why."""
    missing = {
        "gpu": gpu_support.why_no_gpu(),
        "torch": "" if importlib.util.find_spec("torch") else "PyTorch is not installed",
        "browser": "" if chromium() else "no chromium or google-chrome in the PATH",
        "shared": "" if SHARED.is_dir() else f"no folder {SHARED}; set MINIDL_SHARED_DATA",
    }
    for item in items:
        for mark, reason in missing.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Device:
    """Run a test on every device in turn."""
    return devices.choose(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, also if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of picture collections, for tests marked `shared`."""
    return SHARED


class _OnNoDevice(np.ndarray):
    """A NumPy array that claims to be CuPy's, for code that asks for an array's device."""

    __module__ = "cupy"


@pytest.fixture
def as_if_on_gpu() -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that returns the same array, which claims to be on the GPU."""
    return lambda array: array.view(_OnNoDevice)


@pytest.fixture
def planting() -> Iterator[None]:
    """Restore the table of ops after tests that define ops."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


# --- a GPU in software ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> emulated_gpu.Emulator:
    """Return all kernels of the GPU, built for this machine's processor: see `emulated_gpu`."""
    if emulated_gpu.missing():
        pytest.skip(emulated_gpu.missing())
    folder = tmp_path_factory.mktemp("emulator")
    return emulated_gpu.Emulator(folder, launch.source(), launch.expressions())


@pytest.fixture(params=["forwards", "backwards"])
def emulated(
    request: pytest.FixtureRequest,
    emulator: emulated_gpu.Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Run `minidl.kernels.gpu` on NumPy's arrays, with the threads of a block in either order."""
    monkeypatch.setattr(emulator, "backwards", request.param == "backwards")
    emulated_gpu.stand_in(monkeypatch, emulator)
    return gpu
