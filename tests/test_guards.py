"""The micro-kernel does not check its addresses. Here each array lies beside a forbidden page, so
that a read or a write outside of it ends the process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INSIDE = """
import ctypes
import numpy as np
from minidl.kernels import cpu, reference
from minidl.kernels.cpu import tuning
from minidl.kernels.cpu.gemm import gemm
from minidl.kernels.cpu.runtime import buffer_pool, threadpool
from tests.guarded import choose, everywhere, guarded

def check(found, expected):
    assert np.abs(found - expected).max() <= 40 * np.finfo(found.dtype).eps * np.abs(expected).max()

def run(at_end, dtype):
    def draw(*shape):
        return guarded(rng.standard_normal(shape).astype(dtype), at_end)

    everywhere(at_end)
    for (N, H, W, C), (K, L, O), stride, pad in CONVOLUTIONS:
        x, w, b = draw(N, H, W, C), draw(K, L, C, O), draw(O)
        y = reference.conv2d(x, w, b, stride, pad)
        g = draw(*y.shape)
        check(cpu.conv2d(x, w, b, stride, pad), y)
        check(cpu.conv2d_grad_x(g, w, (H, W), stride, pad),
              reference.conv2d_grad_x(g, w, (H, W), stride, pad))
        check(cpu.conv2d_grad_w(x, g, (K, L), stride, pad),
              reference.conv2d_grad_w(x, g, (K, L), stride, pad))
    for N, H, W, C, O in DOUBLED:
        x, w, b, g = draw(N, H, W, C), draw(3, 3, C, O), draw(O), draw(N, 2 * H, 2 * W, O)
        check(cpu.upsample_conv2d(x, w, b), reference.upsample_conv2d(x, w, b))
        check(cpu.upsample_conv2d_grad_x(g, w), reference.upsample_conv2d_grad_x(g, w))
        check(cpu.upsample_conv2d_grad_w(x, g), reference.upsample_conv2d_grad_w(x, g))

    for (M, K, N), tuning.STRASSEN_MIN_SIDE, tuning.GEMM_MAX_COLUMN_READ in PRODUCTS:
        for a in draw(M, K), draw(K, M).T:
            for b in draw(K, N), draw(N, K).T:
                y, bias = buffer_pool.empty((M, N), dtype), draw(N)
                gemm.gemm(a, b, bias, y)
                check(y, reference.matmul(a, b, bias))

PRODUCTS = [((1, 1, 1), 9, 0), ((9, 20, 33), 99, 0), ((70, 35, 64), 99, 9999),
            ((34, 38, 128), 2, 0), ((80, 2, 64), 2, 0), ((24, 6, 3), 2, 0)]  # narrower than a panel
CONVOLUTIONS = [
    ((2, 5, 7, 3), (3, 3, 4), 1, (1, 1, 1, 1)), ((1, 6, 5, 20), (3, 3, 33), 2, (0, 1, 1, 1)),
    ((2, 9, 7, 17), (5, 3, 40), 2, (0, 4, 3, 0)), ((2, 7, 8, 33), (1, 1, 18), 3, (0, 0, 0, 0)),
    ((1, 8, 6, 64), (4, 4, 32), 2, (1, 1, 1, 1)), ((1, 5, 5, 18), (2, 2, 31), 3, (1, 0, 0, 2)),
    ((2, 6, 5, 40), (3, 3, 2), 1, (1, 1, 1, 1)),
    ((2, 8, 4, 3), (3, 3, 5), 2, (0, 1, 0, 1)), ((1, 8, 8, 40), (3, 4, 33), 2, (1, 0, 1, 1)),
    ((3, 12, 8, 17), (4, 4, 70), 2, (1, 1, 1, 1)), ((1, 4, 4, 64), (3, 3, 64), 2, (1, 0, 0, 1)),
]
DOUBLED = [(2, 3, 4, 3, 5), (1, 1, 1, 20, 33), (3, 5, 1, 1, 2), (1, 4, 4, 64, 32), (2, 8, 7, 9, 40)]
rng = np.random.default_rng(0)
choose(small=True)
for count in (1, 3):
    threadpool.set_num_threads(count)
    run(AT_END, DTYPE)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs mmap and mprotect as Linux has them")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at_end", [True, False])
def test_nothing_outside_of_an_array_is_touched(at_end: bool, dtype: str) -> None:
    code = INSIDE.replace("AT_END", str(at_end)).replace("DTYPE", repr(dtype))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, f"ended with {run.returncode}\n{run.stderr[-2000:]}"


@pytest.mark.skipif(sys.platform != "linux", reason="needs mmap and mprotect as Linux has them")
def test_a_guard_is_felt() -> None:
    """One number beyond the end of a guarded array ends the process."""
    head = INSIDE[: INSIDE.index("def check")]
    code = head + "a = guarded(np.zeros(8), True)\nctypes.string_at(a.ctypes.data + a.nbytes, 1)\n"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert run.returncode < 0
