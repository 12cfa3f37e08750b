"""The thread pool, and `parallel_for`, which splits a loop over it. BLAS keeps to one thread.

Loops compiled by Numba and products of BLAS run without the GIL, so plain threads are enough. If
each library had a pool, the pools would compete for the cores: while another process worked, BLAS
with two threads of its own on two cores was ten times slower than with one.

The threads stay in compiled code, where they spin on a job slot (`jobs.py`). When no job
has come for a while they go to sleep. The next job wakes them, and does not wait for them.

Linux wakes a thread on the processor where it last ran, or on the waker's, and moves it only after
it has waited there for a while. So chunks of a few milliseconds could take turns on one processor
for hundreds of calls, with the other nearly idle (a product of 3.3 ms took 6.3). Therefore the
pool's threads are pinned away from the caller's processor.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import LibController, ThreadpoolController

from ..tuning import SPIN_COUNT
from . import jobs


class _Words(NamedTuple):
    """Memory whose address is given to compiled code.

    At the end of the program Python clears its modules and thread-local data, while daemon threads
    go on in compiled code. A frame of such a thread is never freed. So a caller that passes the
    address to compiled code keeps the words in a local variable.
    """

    words: np.ndarray
    address: int

    @classmethod
    def of(cls, words: np.ndarray) -> _Words:
        return cls(words, words.ctypes.data)


_slot = _Words.of(jobs.new_slot())
_argument_buffers: list[_Words] = []  # not in use
_pool_lock = threading.RLock()  # reentrant, for a caller's signal handlers
_pool: list[threading.Thread] = []
_sleeping: list[threading.Lock] = []  # a worker wakes when its lock is released
_announced = 0  # the number of jobs, each counted before it is written into the slot
_caller_cpu = -1  # the processor that the pool is pinned away from
_getcpu = hasattr(os, "sched_setaffinity") and getattr(ctypes.PyDLL(None), "sched_getcpu", None)
_blas: list[LibController] | None = None
_blas_counts: list[int] = []  # BLAS's numbers of threads, to be restored
_blas_callers: list[weakref.ref[_Caller]] = []
_blas_lock = threading.RLock()


def _processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available() -> int:
    """Return MINIDL_THREADS, or the number of processors."""
    wanted = os.environ.get("MINIDL_THREADS", "")
    valid = wanted.isascii() and wanted.isdigit() and len(wanted) < 5 and int(wanted) > 0
    if wanted and not valid:
        raise ValueError(f"MINIDL_THREADS is {wanted!r}; expected a number of threads, 1 or more")
    return int(wanted) if wanted else _processors()


_count = _available()


def num_threads() -> int:
    """Return the number of threads that kernels use.

    Equal numbers give equal results, bit for bit.
    """
    return _count


def set_num_threads(threads: int) -> None:
    """Set the number of threads that kernels use, the calling thread included."""
    global _count
    if threads < 1:
        raise ValueError(f"threads: {threads}, expected 1 or more")
    _count = threads


def chunk_count(length: int, *, grain: int) -> int:
    """Return a number of chunks: at most one per thread, none shorter than `grain`."""
    return max(1, min(_count, jobs.MAX_CHUNKS, length // max(1, grain)))


def parallel_for(loop: Callable[..., int], length: int, chunks: int, *arguments: Any) -> None:
    """Run loop(*arguments, chunk) for `chunks` chunks of range(length), in parallel.

    loop: made by `parallel_jit`. Equal numbers of chunks give equal results, whichever threads run
    them. Raises MemoryError.
    """
    try:
        buffer = _argument_buffers.pop()
    except IndexError:
        buffer = _Words.of(np.empty(jobs.ARGUMENT_WORDS, np.int64))
    slot = _slot
    code = loop(buffer.address, *arguments)
    if chunks > 1 and not slot.words[jobs.IN_USE]:
        _wake(chunks - 1)
    failed = jobs.run_job(slot.address if chunks > 1 else 0, code, buffer.address, length, chunks)
    _argument_buffers.append(buffer)
    if failed:
        raise MemoryError(f"{loop.__name__}: no memory for what it works on")


@contextlib.contextmanager
def blas_alone() -> Iterator[None]:
    """Keep each BLAS call within the block on the thread that makes it.

    BLAS has one number of threads for the whole process: the first caller sets it to 1, and the
    last one to leave restores it. A caller that is interrupted on its way out leaves that to the
    next one.
    """
    global _blas, _blas_counts
    mine = _Caller()
    try:
        with _blas_lock:
            if _blas is None:
                _blas = ThreadpoolController().select(user_api="blas").lib_controllers
            if not _blas_counts:
                _blas_counts = [library.num_threads for library in _blas]
            _set_blas([1] * len(_blas))
            _blas_callers.append(weakref.ref(mine))
        yield
    finally:
        with _blas_lock:
            _blas_callers[:] = [other for other in _blas_callers if other() not in (None, mine)]
            if not _blas_callers:
                _set_blas(_blas_counts)
                _blas_counts = []


class _Caller:
    """A caller of BLAS, in `blas_alone`."""


def _set_blas(counts: list[int]) -> None:
    for library, count in zip(_blas or [], counts, strict=False):
        if library.num_threads != count:
            free = getattr(library, "clear_controlling_thread", None)
            if free:  # from threadpoolctl 3.8 on, only the first thread that sets counts may do so
                free(force=True)
            library.set_num_threads(count)
            if free:
                free(force=True)


def _wake(wanted: int) -> None:
    """Wake the pool, with at least `wanted` threads if there are that many processors.

    A lock stays in `_sleeping` until its thread has acquired it again. So an interrupted waker
    loses no thread, and waking a thread twice does no harm.
    """
    global _announced
    with _pool_lock:
        _grow(wanted)
        _pin_away_from_caller()
        _announced += 1
        for wakeup in _sleeping[:]:
            with contextlib.suppress(RuntimeError):  # another caller has just released it
                wakeup.release()


def _grow(wanted: int) -> None:
    """Grow the pool to `wanted` threads, at most one per other processor."""
    global _caller_cpu
    while len(_pool) < wanted and len(_pool) < _processors() - 1:
        name = f"minidl-{len(_pool)}"
        thread = threading.Thread(target=_work, args=(_slot,), daemon=True, name=name)
        thread.start()
        _pool.append(thread)
        _caller_cpu = -1  # the new thread is not pinned yet


def _pin_away_from_caller() -> None:
    """Let the pool run on all processors that the caller may use, except the one it is on."""
    global _caller_cpu
    here = _getcpu() if _getcpu else _caller_cpu
    if here == _caller_cpu:
        return
    others = os.sched_getaffinity(0) - {here}
    with contextlib.suppress(OSError):  # there is no other, or the system forbids it
        for thread in _pool:
            assert thread.native_id  # it has started
            os.sched_setaffinity(thread.native_id, others)
    _caller_cpu = here


def _work(slot: _Words) -> None:
    wakeup = threading.Lock()
    wakeup.acquire()  # so that the next acquire sleeps
    while True:
        seen = _announced
        jobs.worker_loop(slot.address, SPIN_COUNT)
        if seen == _announced:  # else a job is being written into the slot
            _sleeping.append(wakeup)
            wakeup.acquire()
            _sleeping.remove(wakeup)


def _after_fork() -> None:
    """Begin again in a forked process, where only the forking thread exists."""
    global _slot, _pool_lock, _blas_lock
    _slot, _pool_lock, _blas_lock = _Words.of(jobs.new_slot()), threading.RLock(), threading.RLock()
    for threads in (_pool, _sleeping, _blas_callers):
        threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
