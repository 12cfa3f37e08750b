"""Matrix products, their threads, and the memory of their arrays."""

from __future__ import annotations

import gc
import re
import sys
from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.device import Device, to_cpu
from minidl.kernels import reference
from minidl.kernels.cpu import tuning
from minidl.kernels.cpu.gemm import blas, prepacked
from minidl.kernels.cpu.runtime import buffer_pool, threadpool

SHAPES = [((3, 4), (4, 5)), ((1, 7), (7, 1)), ((40, 3), (3, 9)), ((5, 3, 2), (5, 2, 4)),
          ((2, 0), (0, 3)), ((0, 2), (2, 3))]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul(
    left: Any, right: Any, split: bool, transposed: bool, dtype: Any, device: Device,
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if split:
        monkeypatch.setattr(threadpool, "_count", 3)
        monkeypatch.setattr(tuning, "MIN_MULTIPLIES", 1)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in (left, right))
    if transposed:
        a, b = (np.swapaxes(np.swapaxes(m, -1, -2).copy(), -1, -2) for m in (a, b))
    bias = [] if a.ndim == 3 else [rng.standard_normal(right[1]).astype(dtype)]
    found = to_cpu(kernels.matmul(*map(device.put, (a, b, *bias))))
    expected = reference.matmul(a, b, *bias)
    assert (found.dtype, found.shape) == (dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [((2, 5), (2, 3), "(M, K) and (K, N)"), ((5,), (5, 3), "(M, K) and (K, N)"),
     ((2, 3, 4), (4, 5), "(M, K) and (K, N)"), ((3, 2, 4), (1, 4, 5), "as many of a as of b"),
     ((1, 1, 2, 3), (1, 1, 3, 2), "(M, K) and (K, N)")],
)  # fmt: skip
def test_factors_that_do_not_fit_are_refused(left: Any, right: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"matmul: expected {words}, got {left} and")):
        kernels.matmul(np.ones(left), np.ones(right))


@pytest.mark.parametrize("bias", [(2,), (1, 3), ()])
def test_a_bias_that_does_not_fit_is_refused(bias: Any) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"expected a bias (3,) for matrices, got {bias}")
    ):
        kernels.matmul(np.ones((4, 2)), np.ones((2, 3)), np.ones(bias))


# --- patches --------------------------------------------------------------------------------------


def laid(dtype: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Return arguments of fold: 3 x 3 patches at 2 x 4 positions of a 7 x 9 picture."""
    rows, columns = np.array([0, 4]), np.array([0, 1, 3, 6])
    patches = rng.standard_normal((8, 3, 3)).astype(dtype)
    window = rng.random((3, 3)).astype(np.float32)
    return [*rng.random((2, 7, 9)), patches, rows, columns, window]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lay_patches(dtype: Any, device: Device, rng: np.random.Generator) -> None:
    arguments = laid(dtype, rng)
    expected = [a.copy() for a in arguments]
    reference.fold(*expected)
    given = [device.put(a.copy()) for a in arguments]
    kernels.fold(*given)
    for i, (one, other) in enumerate(zip(given, expected, strict=True)):
        np.testing.assert_allclose(to_cpu(one), other, rtol=1e-12 * (i < 2))


@pytest.mark.parametrize(
    ("which", "value"),
    [(3, np.array([-1, 4])), (3, np.array([0, 5])), (4, np.array([0, 1, 3, 7])),
     (2, np.zeros((7, 3, 3))), (1, np.zeros((7, 8))), (5, np.ones((3, 1))),
     (2, np.ones((8, 3, 3), np.int64)), (5, np.ones((3, 3), np.int64)),
     (3, np.array([0.0, 4.0])), (4, np.zeros(4, np.float32))],
)  # fmt: skip
def test_patches_stay_inside(which: int, value: np.ndarray, rng: np.random.Generator) -> None:
    arguments = laid(np.float64, rng)
    arguments[which] = value
    with pytest.raises(ValueError, match="fold"):
        kernels.fold(*arguments)


def read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a, b: (read_only(a), b), "total is read-only"),
        (lambda a, b: (a, read_only(b)), "weight is read-only"),
        (lambda a, b: (a.astype(np.float32), b), "total must be float64 and C-contiguous"),
        (lambda a, b: (a, b.T), "weight must be float64 and C-contiguous"),
        (lambda a, b: (a[..., None], b[..., None]), "(8, 3, 3) for 2 x 4 places of 3 x 3 on"),
        (lambda a, b: (a[0], b[0]), "(8, 3, 3) for 2 x 4 places of 3 x 3 on"),
    ],
)
def test_patches_are_added_to_plain_pictures(
    change: Any, words: str, rng: np.random.Generator
) -> None:
    total, weight, *rest = laid(np.float64, rng)
    with pytest.raises(ValueError, match=re.escape(f"fold: {words}")):
        kernels.fold(*change(total, weight), *rest)


# --- memory ---------------------------------------------------------------------------------------

LARGE = (buffer_pool.MIN_BYTES // 4 + 7,)


def test_memory_is_used_again_only_when_the_last_view_is_gone() -> None:
    x = buffer_pool.empty(LARGE, np.float32)
    place, view = x.ctypes.data, x[3:].reshape(-1, 1)
    del x
    gc.collect()
    other = buffer_pool.empty(LARGE, np.float32)
    assert other.ctypes.data != place
    view[:] = 1  # still in use
    del view
    assert buffer_pool.empty(LARGE, np.float32).ctypes.data == place


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 4), LARGE, (700, 0, 900), (70, 90, 50)])
def test_memory_is_of_the_asked_kind(shape: tuple[int, ...], dtype: Any) -> None:
    x = buffer_pool.empty(shape, dtype)
    assert (x.shape, x.dtype) == (shape, dtype)
    assert x.flags.c_contiguous
    assert x.flags.writeable
    if x.nbytes >= buffer_pool.MIN_BYTES:
        assert x.ctypes.data % buffer_pool.LINE == 0


def free_bytes() -> int:
    return sum(size * len(blocks) for size, blocks in buffer_pool._free_lists.items())


def test_the_pool_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_pool, "_free_lists", {})
    monkeypatch.setattr(buffer_pool, "MAX_FREE_BYTES", 3 * buffer_pool.MIN_BYTES)
    blocks = [buffer_pool.empty((buffer_pool.MIN_BYTES,), np.uint8) for _ in range(10)]
    del blocks
    assert free_bytes() == buffer_pool.MAX_FREE_BYTES  # as many as may be kept
    huge = buffer_pool.empty((buffer_pool.MAX_FREE_BYTES + 1,), np.uint8)
    del huge
    assert free_bytes() == buffer_pool.MAX_FREE_BYTES  # too large to be kept
    others = [buffer_pool.empty((2 * buffer_pool.MIN_BYTES,), np.uint8) for _ in range(2)]
    del others
    assert free_bytes() > buffer_pool.MAX_FREE_BYTES
    buffer_pool.empty(LARGE, np.float32)
    assert free_bytes() <= buffer_pool.MAX_FREE_BYTES  # other sizes were freed


def test_an_interrupt_is_never_lost_when_memory_goes_back() -> None:
    """An interrupt reaches the caller even if it comes while a block's last array is freed. No
    Python code runs then, in which an exception would only be printed."""
    traced: list[str] = []
    w = np.ones(LARGE)
    w.setflags(write=False)
    prepacked.prepacked(w, "test", lambda w: buffer_pool.empty(LARGE, np.float32))
    x, before = buffer_pool.empty(LARGE, np.float32), sys.gettrace()
    sys.settrace(lambda frame, event, _: traced.append(frame.f_code.co_name))
    del x, w
    sys.settrace(before)
    assert traced == []


def test_of_two_libraries_numpys_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy has a BLAS, too, and the order of the two differs from process to process."""
    pytest.importorskip("scipy.linalg")
    loaded = blas.ThreadpoolController().select(internal_api="openblas")
    if len(loaded.lib_controllers) < 2:
        pytest.skip("one BLAS serves both here")
    found = []
    for controllers in (loaded.lib_controllers, loaded.lib_controllers[::-1]):
        monkeypatch.setattr(loaded, "lib_controllers", controllers)
        monkeypatch.setattr(blas.ThreadpoolController, "select", lambda self, **_: loaded)
        found.append(blas.gemm.__wrapped__(np.dtype(np.float32)))
    assert found[0] == found[1] and type(found[0][2]) is np.int64
