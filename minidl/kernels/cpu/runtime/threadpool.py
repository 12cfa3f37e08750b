"""One pool of threads, over which kernels split their work. BLAS is held to one thread meanwhile.

Loops compiled by Numba and BLAS's products run without Python's lock, so that plain threads do.
With a pool in each library, the pools take the cores from each other: where another process is busy
too, BLAS with two threads of its own on two cores was ten times slower than with one.

The threads stay in compiled code, where they look at a board (`parallel_for.py`) for parts of a
job. When none has come for a while they go to sleep; the next job wakes them, and does not wait for
them.

Linux wakes a thread on the processor that it was on, or that it is woken from, and moves it only
once it has waited there for a while. Parts of a few milliseconds could so take turns on one
processor for hundreds of calls, with the other nearly idle (a product of 3.3 ms took 6.3). Hence
the threads of the pool are kept off the caller's processor.
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
from . import parallel_for as board


class _Words(NamedTuple):
    """Memory that compiled code is given the address of.

    At the end of the program Python empties its modules and what belongs to threads, while daemon
    threads go on in compiled code. What a frame of such a thread holds is never freed: so whoever
    gives the address to compiled code holds the words in a local variable.
    """

    words: np.ndarray
    place: int

    @classmethod
    def of(cls, words: np.ndarray) -> _Words:
        return cls(words, words.ctypes.data)


_board = _Words.of(board.new())
_given: list[_Words] = []  # where jobs wrote down what their parts are given; for the next ones
_waking = threading.RLock()  # the pool; by one caller at a time, perhaps once more by its handlers
_pool: list[threading.Thread] = []
_asleep: list[threading.Lock] = []  # of the pool; each wakes when its lock is released
_announced = 0  # jobs, before they are written down
_shunned = -1  # the processor that they keep off
_getcpu = hasattr(os, "sched_setaffinity") and getattr(ctypes.PyDLL(None), "sched_getcpu", None)
_blas: list[LibController] | None = None
_blas_counts: list[int] = []  # of their threads, outside of products
_multiplying: list[weakref.ref[_Caller]] = []  # while they live
_setting = threading.RLock()  # the counts; by one of them at a time


def _processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available() -> int:
    """MINIDL_THREADS, or the processors."""
    wanted = os.environ.get("MINIDL_THREADS", "")
    known = wanted.isascii() and wanted.isdigit() and len(wanted) < 5 and int(wanted) > 0
    if wanted and not known:
        raise ValueError(f"MINIDL_THREADS is {wanted!r}; expected a number of threads, 1 or more")
    return int(wanted) if wanted else _processors()


_count = _available()


def num_threads() -> int:
    """Return the number of threads that kernels use.

    Equal numbers give equal results, bit for bit.
    """
    return _count


def set_num_threads(threads: int) -> None:
    """Let kernels use so many threads, the calling one among them."""
    global _count
    if threads < 1:
        raise ValueError(f"threads: {threads}, expected 1 or more")
    _count = threads


def chunk_count(length: int, *, grain: int) -> int:
    """Into how many parts a range is split, each of which is worth a thread: `grain` or longer."""
    return max(1, min(_count, board.MOST, length // max(1, grain)))


def parallel_for(loop: Callable[..., int], length: int, parts: int, *arguments: Any) -> None:
    """loop(*arguments, part) for so many parts of range(length), at the same time.

    loop: made by `board.parallel`. The same number of parts gives the same results, whoever
    takes them. Raises MemoryError.
    """
    try:
        given = _given.pop()
    except IndexError:
        given = _Words.of(np.empty(board.ROOM, np.int64))
    shared = _board
    code = loop(given.place, *arguments)
    if parts > 1 and not shared.words[board.USED]:
        _wake(parts - 1)
    failed = board.spread(shared.place if parts > 1 else 0, code, given.place, length, parts)
    _given.append(given)
    if failed:
        raise MemoryError(f"{loop.__name__}: no memory for what it works on")


@contextlib.contextmanager
def blas_alone() -> Iterator[None]:
    """Inside, each BLAS call stays on the thread that makes it.

    BLAS's count of threads is one for the whole process: who comes first sets it to 1, and who
    leaves last gives back what it was. Who is interrupted on the way out leaves that to the next.
    """
    global _blas, _blas_counts
    mine = _Caller()
    try:
        with _setting:
            if _blas is None:
                _blas = ThreadpoolController().select(user_api="blas").lib_controllers
            if not _blas_counts:
                _blas_counts = [library.num_threads for library in _blas]
            _set_blas([1] * len(_blas))
            _multiplying.append(weakref.ref(mine))
        yield
    finally:
        with _setting:
            _multiplying[:] = [other for other in _multiplying if other() not in (None, mine)]
            if not _multiplying:
                _set_blas(_blas_counts)
                _blas_counts = []


class _Caller:
    """Somebody who wants BLAS alone."""


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
    """Have so many threads look at the board, or as many as there are.

    A lock stays among those of sleepers until its thread has taken it again: of a waker who is
    interrupted no thread is lost, and to wake one twice does no harm.
    """
    global _announced
    with _waking:
        _start(wanted)
        _keep_off()
        _announced += 1
        for bed in _asleep[:]:
            with contextlib.suppress(RuntimeError):  # somebody has released it just now
                bed.release()


def _start(wanted: int) -> None:
    """Have so many threads in the pool, or as many as there are other processors."""
    global _shunned
    while len(_pool) < wanted and len(_pool) < _processors() - 1:
        name = f"minidl-{len(_pool)}"
        thread = threading.Thread(target=_serve, args=(_board,), daemon=True, name=name)
        thread.start()
        _pool.append(thread)
        _shunned = -1  # the new one knows of nothing yet


def _keep_off() -> None:
    """Let the pool run on all processors that the caller may use, but the one that it is on."""
    global _shunned
    here = _getcpu() if _getcpu else _shunned
    if here == _shunned:
        return
    others = os.sched_getaffinity(0) - {here}
    with contextlib.suppress(OSError):  # there is no other, or the system does not let us
        for thread in _pool:
            assert thread.native_id  # it has started
            os.sched_setaffinity(thread.native_id, others)
    _shunned = here


def _serve(shared: _Words) -> None:
    bed = threading.Lock()
    bed.acquire()  # taken, so that the next acquire sleeps
    while True:
        heard = _announced
        board.serve(shared.place, SPIN_COUNT)
        if heard == _announced:  # or a job is being written down
            _asleep.append(bed)
            bed.acquire()
            _asleep.remove(bed)


def _forget() -> None:
    """After a fork only the forking thread exists."""
    global _board, _waking, _setting
    _board, _waking, _setting = _Words.of(board.new()), threading.RLock(), threading.RLock()
    for kept in (_pool, _asleep, _multiplying):
        kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
