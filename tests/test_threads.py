"""The job slot from which threads claim chunks, and the pool of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels.cpu.runtime import jobs, threadpool
from minidl.kernels.cpu.runtime.jobs import parallel_jit

TWO = pytest.mark.skipif(threadpool._processors() < 2, reason="needs two processors")


@parallel_jit
def note(found, chunk):
    """found[i]: the chunk that had i."""
    for i in range(chunk.first, chunk.last):
        found[i] = chunk.number


@parallel_jit
def meet(words, met, spins, chunk):
    """met[number]: 1 if this chunk has seen the other one run."""
    jobs._store(words, chunk.number, 1)
    for _ in range(spins):
        if jobs._load(words, 1 - chunk.number):
            met[chunk.number] = 1
            return


@parallel_jit
def add_up(x, sums, chunk):
    for i in range(chunk.first, chunk.last):
        sums[chunk.number] += x[i]


@parallel_jit
def want_all_memory(sizes, chunk):
    if chunk.number == 1:
        np.empty(sizes[0])[0] = 1


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadpool, "_count", 3)


def test_a_job_belongs_to_the_module_of_its_loop() -> None:
    assert note.py_func.__module__ == __name__  # type: ignore[attr-defined]


def noted(length: int, chunks: int) -> list[int]:
    found = np.full(length, -1)
    threadpool.parallel_for(note, length, chunks, found)
    return found.tolist()


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 100])
def test_chunks_cover_everything_once_and_in_order(three: None, length: int) -> None:
    chunks = threadpool.chunk_count(length, grain=1)
    found = noted(length, chunks)
    assert chunks == max(1, min(3, length))
    assert found == sorted(found) and set(found) == set(range(chunks if length else 0))


def test_a_short_range_is_one_chunk(three: None) -> None:
    assert threadpool.chunk_count(10, grain=6) == 1
    assert threadpool.chunk_count(12, grain=6) == 2
    assert threadpool.chunk_count(12, grain=0) == 3


@TWO
def test_chunks_run_at_the_same_time() -> None:
    for _ in range(20):  # a thread that sleeps is woken, and may come too late
        words, met = np.zeros(2, np.int64), np.zeros(2)
        threadpool.parallel_for(meet, 2, 2, words.ctypes.data, met, 100_000_000)
        if met.all():
            return
    raise AssertionError("one chunk always came after the other")


@TWO
def test_threads_without_work_sleep_until_there_is_some() -> None:
    """All of them sleep, also after they were woken: an awake thread is not on the list."""
    for _ in range(3):
        noted(2, 2)
        end, calm = time.monotonic() + 20, 0
        while calm < 30:  # looks in a row
            assert time.monotonic() < end, "the threads stay awake"
            time.sleep(0.001)
            asleep = 0 < len(threadpool._pool) <= len(threadpool._sleeping)
            calm = calm + 1 if asleep else 0


def test_the_caller_does_not_wait_for_threads_that_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without another thread the caller runs all chunks."""
    monkeypatch.setattr(threadpool, "_grow", lambda wanted: None)
    monkeypatch.setattr(threadpool, "_pool", [])
    monkeypatch.setattr(threadpool, "_slot", threadpool._Words.of(jobs.new_slot()))
    assert noted(5, 3) == [0, 1, 1, 2, 2]


@TWO
def test_a_thread_that_cannot_start_is_not_in_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threadpool, "_pool", [])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        noted(3, 3)
    assert not threadpool._pool


def test_the_pool_leaves_a_processor_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadpool, "_pool", [])
    monkeypatch.setattr(threadpool, "_processors", lambda: 3)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    threadpool._grow(9)
    assert len(threadpool._pool) == 2


@pytest.mark.parametrize("rest", [0, 0.001])
def test_every_chunk_of_many_jobs_runs_once(rest: float) -> None:
    """This also holds right after another job, for late threads, and for sleeping threads."""
    x = np.arange(1000.0)
    for i in range(20000 if not rest else 100):
        chunks = 2 + i % 5
        sums = np.zeros(chunks)
        threadpool.parallel_for(add_up, x.size, chunks, x, sums)
        assert sums.sum() == x.sum(), i
        time.sleep(rest) if rest else None


def test_callers_at_the_same_time_do_not_mix_their_jobs() -> None:
    wrong: list[float] = []

    def call(k: int) -> None:
        x = np.full(1000, float(k))
        for _ in range(2000):
            sums = np.zeros(3)
            threadpool.parallel_for(add_up, x.size, 3, x, sums)
            if sums.sum() != 1000 * k:
                wrong.append(sums.sum())

    callers = [threading.Thread(target=call, args=(k,)) for k in range(1, 4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_chunk_without_memory_is_reported_after_the_others_have_ended() -> None:
    with pytest.raises(MemoryError, match="want_all_memory"):
        threadpool.parallel_for(want_all_memory, 3, 3, np.array([1 << 60]))
    assert noted(3, 3) == [0, 1, 2]


def test_buffers_of_arguments_are_used_again() -> None:
    noted(3, 2)
    before = list(threadpool._argument_buffers)
    noted(3, 2)
    assert before and [w.address for w in threadpool._argument_buffers] == [
        w.address for w in before
    ]


def test_references_to_arguments_are_released() -> None:
    x, sums = np.arange(10.0), np.zeros(2)
    before = sys.getrefcount(x)
    for _ in range(100):
        threadpool.parallel_for(add_up, x.size, 2, x, sums)
    assert sys.getrefcount(x) == before


@pytest.mark.skipif(
    not threadpool._getcpu or len(os.sched_getaffinity(0)) < 2, reason="needs Linux, two processors"
)
def test_the_pool_is_pinned_away_from_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.sched_getaffinity(0)
    for here in [*mine, *mine]:
        monkeypatch.setattr(threadpool, "_getcpu", lambda here=here: here)
        noted(3, 3)
        assert threadpool._pool
        for thread in threadpool._pool:
            assert thread.native_id and os.sched_getaffinity(thread.native_id) == mine - {here}
    assert os.sched_getaffinity(0) == mine


def test_blas_is_alone_only_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    monkeypatch.setattr(threadpool, "_blas", None)  # SciPy's may have come later

    def counts() -> list[int]:
        return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]

    before = counts()
    with threadpool.blas_alone():
        assert set(counts()) <= {1}
    assert counts() == before


def test_blas_is_alone_in_every_thread_until_the_last_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threadpool, "_blas", None)
    a = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
    results, leave = [kernels.matmul(a, a)], threading.Event()
    counts: list[int] = []

    def multiply() -> None:
        with threadpool.blas_alone():
            results.append(kernels.matmul(a, a))
            leave.wait(60)
            counts.extend(library.num_threads for library in threadpool._blas or [])

    before = [library.num_threads for library in threadpool._blas or []]
    other = threading.Thread(target=multiply)
    other.start()
    with threadpool.blas_alone():
        results.append(kernels.matmul(a, a))
    leave.set()
    other.join()
    assert set(counts) <= {1}
    assert [library.num_threads for library in threadpool._blas or []] == before
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_threads_are_a_number() -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        threadpool.set_num_threads(0)
    run = subprocess.run(
        [sys.executable, "-c", "import minidl.kernels.cpu"],
        env={**os.environ, "MINIDL_THREADS": "many"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "MINIDL_THREADS is 'many'; expected a number" in run.stderr


AT_WORK_AT_THE_END = """
import threading, time
import numpy as np
from minidl.kernels.cpu.runtime import threadpool
from minidl.kernels.cpu.runtime.jobs import parallel_jit

@parallel_jit
def fill(many, chunk):
    for y in many:
        for i in range(1 << 12):
            y[i] = chunk.number

many = tuple(np.zeros(1 << 12) for _ in range(16))

def work():
    while True:
        threadpool.parallel_for(fill, 60000, 60000, many)

threadpool.parallel_for(fill, 3, 3, many)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""


def test_a_program_may_end_while_its_daemon_threads_compute() -> None:
    """Python frees its objects while such threads run: the memory of a job's arguments must still
    exist. Here glibc overwrites freed memory."""
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", AT_WORK_AT_THE_END],
            env={**os.environ, "MINIDL_THREADS": "3", "MALLOC_PERTURB_": "165"},
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert run.returncode == 0, f"ended with {run.returncode}: {run.stderr[-500:]}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_a_fork_starts_its_own_threads() -> None:
    noted(3, 3)
    child = os.fork()
    if child == 0:
        os._exit(len(set(noted(3, 3))))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
