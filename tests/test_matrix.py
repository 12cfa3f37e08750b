"""Matrix products, the threads that they are split over, and the memory that they come from."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.device import Device, to_cpu
from minidl.kernels import reference
from minidl.kernels.cpu import matrix, memory, threads

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
        monkeypatch.setattr(threads, "_count", 3)
        monkeypatch.setattr(matrix, "WORTH", 1)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in (left, right))
    if transposed:
        a, b = (np.swapaxes(np.swapaxes(m, -1, -2).copy(), -1, -2) for m in (a, b))
    found = to_cpu(kernels.matmul(device.put(a), device.put(b)))
    expected = reference.matmul(a, b)
    assert (found.dtype, found.shape) == (dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=20 * np.finfo(dtype).eps)


# --- patches --------------------------------------------------------------------------------------


def laid(dtype: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Arguments of lay_patches: 3 x 3 patches at 2 x 4 places of a picture 7 x 9."""
    rows, columns = np.array([0, 4]), np.array([0, 1, 3, 6])
    patches = rng.standard_normal((8, 3, 3)).astype(dtype)
    window = rng.random((3, 3)).astype(np.float32)
    return [*rng.random((2, 7, 9)), patches, rows, columns, window]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lay_patches(dtype: Any, device: Device, rng: np.random.Generator) -> None:
    arguments = laid(dtype, rng)
    expected = [a.copy() for a in arguments]
    reference.lay_patches(*expected)
    given = [device.put(a.copy()) for a in arguments]
    kernels.lay_patches(*given)
    for i, (one, other) in enumerate(zip(given, expected, strict=True)):
        np.testing.assert_allclose(to_cpu(one), other, rtol=1e-12 * (i < 2))


@pytest.mark.parametrize(
    ("which", "value"),
    [(3, np.array([-1, 4])), (3, np.array([0, 5])), (4, np.array([0, 1, 3, 7])),
     (2, np.zeros((7, 3, 3))), (1, np.zeros((7, 8)))],
)  # fmt: skip
def test_patches_stay_inside(which: int, value: np.ndarray, rng: np.random.Generator) -> None:
    arguments = laid(np.float64, rng)
    arguments[which] = value
    with pytest.raises(ValueError, match="lay_patches"):
        kernels.lay_patches(*arguments)


# --- threads --------------------------------------------------------------------------------------


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_count", 3)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 100])
def test_parts_cover_everything_once_and_in_order(three: None, length: int) -> None:
    parts = threads.split(lambda first, last: (first, last), length, grain=1)
    assert [i for first, last in parts for i in range(first, last)] == list(range(length))
    assert len(parts) == max(1, min(3, length))


def test_what_is_not_worth_a_thread_stays_whole(three: None) -> None:
    assert threads.split(lambda *part: part, 10, grain=6) == [(0, 10)]
    assert len(threads.split(lambda *part: part, 12, grain=6)) == 2


def test_parts_run_at_the_same_time(three: None) -> None:
    barrier = threading.Barrier(3, timeout=10)  # breaks unless all three wait at once
    assert len(threads.split(lambda *part: barrier.wait(), 3, grain=1)) == 3


def test_a_part_is_not_split_again(three: None) -> None:
    inner = threads.split(
        lambda *part: (threading.current_thread() is threading.main_thread(),
                       len(threads.split(lambda *p: p, 9, grain=1))), 3, grain=1,
    )  # fmt: skip
    assert [parts for main, parts in inner if not main] == [1, 1]


@pytest.mark.parametrize("bad", [0, 2])
def test_an_exception_waits_for_the_other_parts(three: None, bad: int) -> None:
    ended = []

    def work(first: int, last: int) -> None:
        if first == bad:
            raise KeyError("this part")
        ended.append(first)

    with pytest.raises(KeyError, match="this part"):
        threads.split(work, 3, grain=1)
    assert sorted([*ended, bad]) == [0, 1, 2]
    assert threads.split(lambda *part: part, 3, grain=1) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.skipif(
    not threads._getcpu or len(os.sched_getaffinity(0)) < 2, reason="needs Linux, two processors"
)
def test_the_pool_keeps_off_the_callers_processor(
    three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = os.sched_getaffinity(0)
    for here in [*mine, *mine]:
        monkeypatch.setattr(threads, "_getcpu", lambda here=here: here)
        threads.split(lambda *part: part, 3, grain=1)
        assert len(threads._pool) >= 2
        for thread in threads._pool:
            assert thread.native_id and os.sched_getaffinity(thread.native_id) == mine - {here}
    assert os.sched_getaffinity(0) == mine


def test_blas_is_alone_only_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    monkeypatch.setattr(threads, "_blas", None)  # SciPy's may have come since it was looked for

    def counts() -> list[int]:
        return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]

    before = counts()
    with threads.blas_alone():
        assert set(counts()) <= {1}
    assert counts() == before


def test_threads_are_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        threads.use(0)
    run = subprocess.run(
        [sys.executable, "-c", "import minidl.kernels.cpu"],
        env={**os.environ, "MINIDL_THREADS": "many"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "MINIDL_THREADS is 'many'; expected a number" in run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_a_fork_starts_its_own_threads(three: None) -> None:
    threads.split(lambda *part: part, 3, grain=1)
    child = os.fork()
    if child == 0:
        os._exit(len(threads.split(lambda *part: part, 3, grain=1)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


# --- memory ---------------------------------------------------------------------------------------

LARGE = (memory.SMALLEST // 4 + 7,)


def test_memory_is_used_again_only_when_the_last_view_is_gone() -> None:
    x = memory.empty(LARGE, np.float32)
    place, view = x.ctypes.data, x[3:].reshape(-1, 1)
    del x
    gc.collect()
    other = memory.empty(LARGE, np.float32)
    assert other.ctypes.data != place
    view[:] = 1  # still ours
    del view
    assert memory.empty(LARGE, np.float32).ctypes.data == place


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 4), LARGE, (700, 0, 900), (70, 90, 50)])
def test_memory_is_of_the_asked_kind(shape: tuple[int, ...], dtype: Any) -> None:
    x = memory.empty(shape, dtype)
    assert (x.shape, x.dtype) == (shape, dtype)
    assert x.flags.c_contiguous
    assert x.flags.writeable
    if x.nbytes >= memory.SMALLEST:
        assert x.ctypes.data % memory.LINE == 0


def test_shelves_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_shelves", {})
    monkeypatch.setattr(memory, "_on_shelves", 0)
    monkeypatch.setattr(memory, "KEPT", 3 * memory.SMALLEST)
    blocks = [memory.empty((memory.SMALLEST,), np.uint8) for _ in range(10)]
    del blocks
    assert 0 < memory._on_shelves <= memory.KEPT
    assert memory._on_shelves == sum(b.size for shelf in memory._shelves.values() for b in shelf)
    huge = memory.empty((memory.KEPT + 1,), np.uint8)
    del huge
    assert memory._on_shelves <= memory.KEPT
