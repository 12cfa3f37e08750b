"""The GPU in software shows faults that are planted in kernels, and none without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minidl.kernels import gpu, reference
from minidl.kernels.gpu import gemm, launch
from tests import emulated_gpu
from tests.test_convolution import close, draw

ROOT = Path(__file__).resolve().parents[1]

FAULTS = {  # faults that a GPU may or may not show, each with the text that it replaces
    "no barrier": ("            rights.put(r[1 - now]);\n            __syncthreads();",
                   "            rights.put(r[1 - now]);"),
    "one barrier for some": ("            rights.put(r[1 - now]);\n            __syncthreads();",
                             "            rights.put(r[1 - now]);\n"
                             "            if (threadIdx.x) __syncthreads();"),
    "the last term is lost": ("i < last ? operand.at", "i + 1 < last ? operand.at"),
    "a column too few": ("if (c < columns)", "if (c + 1 < columns)"),
    "a window too far": ("const int h = p.h + t.k", "const int h = p.h + t.k + 1"),
    "a part twice": ("first = min(length, part * steps * DEPTH)", "first = 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ["none", *FAULTS])
def test_faults_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fault is seen in at least one order of the threads."""
    if emulated_gpu.missing():
        pytest.skip(emulated_gpu.missing())
    source = launch.source()
    if fault != "none":
        right, wrong = FAULTS[fault]
        assert source.count(right) == 1
        source = source.replace(right, wrong)
    names = ["conv2d<float, 16>", "add_parts<float>"]
    emulator = emulated_gpu.Emulator(tmp_path, source, names)
    emulated_gpu.stand_in(monkeypatch, emulator)
    monkeypatch.setattr(gemm, "SHORTEST", 30)
    x, w = draw(np.float32, (2, 9, 8, 7), (3, 3, 7, 5))
    seen = 0
    for emulator.backwards in (False, True):
        try:
            y = gpu.conv2d(x, w, None, 1, (1, 1, 1, 1))
            close(y, reference.conv2d(x, w, None, 1, (1, 1, 1, 1)))
        except AssertionError:
            seen += 1
    assert bool(seen) == (fault != "none")


def test_both_orders_give_the_same_bits(
    emulator: emulated_gpu.Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated_gpu.stand_in(monkeypatch, emulator)
    x, g = draw(np.float32, (8, 16, 15, 5), (8, 16, 15, 7))
    found = []
    for backwards in (False, True):
        monkeypatch.setattr(emulator, "backwards", backwards)
        dw = gpu.conv2d_grad_w(x, g, (3, 3), 1, (1, 1, 1, 1))
        found.append([a.tobytes() for a in (dw, *gpu.moments(x, 0.2), gpu.channel_sum(g))])
    assert found[0] == found[1]


def sanitized(*command: str) -> subprocess.CompletedProcess[str]:
    """Run Python under AddressSanitizer, which checks every memory access of the kernels."""
    if emulated_gpu.missing():
        pytest.skip(emulated_gpu.missing())
    asked = [emulated_gpu.COMPILER, "-print-file-name=libasan.so"]
    library = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    if not Path(library).is_file():
        pytest.skip("this compiler comes without AddressSanitizer")
    environment = {
        **os.environ, emulated_gpu.SANITIZED: "1", "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )


NOT_AGAIN = pytest.mark.skipif(
    emulated_gpu.SANITIZED in os.environ, reason="this is the sanitized run"
)


@NOT_AGAIN
@pytest.mark.slow
def test_no_kernel_leaves_its_arrays() -> None:
    """Run most tests with emulated kernels again, under AddressSanitizer."""
    files = [f"tests/test_{name}.py" for name in ("gpu_kernels", "gpu_products", "convolution")]
    chosen = "forwards or gpu-emulated-blocks"
    done = sanitized("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", chosen)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout


OVERRUN = """
import pathlib, sys, pytest, numpy
from minidl.kernels import gpu
from minidl.kernels.gpu import launch
from tests import emulated_gpu
right, wrong = "if (c < columns)", "if (c <= columns)"
assert launch.source().count(right) == 1
source = launch.source().replace(right, sys.argv[2] and wrong or right)
emulator = emulated_gpu.Emulator(pathlib.Path(sys.argv[1]), source, ["conv2d<float, 16>"])
emulated_gpu.stand_in(pytest.MonkeyPatch(), emulator)
pad = (1, 1, 1, 1)
gpu.conv2d(*(numpy.ones(s, "f") for s in ((1, 9, 9, 3), (3, 3, 3, 5))), None, 1, pad)
"""


@NOT_AGAIN
@pytest.mark.parametrize("planted", ["", "planted"])
def test_an_overrun_is_seen(planted: str, tmp_path: Path) -> None:
    done = sanitized("-c", OVERRUN, str(tmp_path), planted)
    assert ("heap-buffer-overflow" in done.stderr) == (done.returncode != 0) == bool(planted)
