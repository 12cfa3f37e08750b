"""One pool of threads, over which kernels split their work. BLAS is held to one thread meanwhile.

Loops compiled by Numba and BLAS's products run without Python's lock, so that plain threads do.
With a pool in each library, the pools take the cores from each other: where another process is busy
too, BLAS with two threads of its own on two cores was ten times slower than with one.

The threads stay in compiled code, where they look at a board (`board.py`) for parts of a job. When
none has come for a while they go to sleep; the next job wakes them, and does not wait for them.

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
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from threadpoolctl import LibController, ThreadpoolController

from . import board

GRAIN = 1 << 14  # numbers, each of a few operations, that are worth a thread
WORTH = 1 << 20  # multiplications in a product that are
PATIENCE = 20000  # looks at the board before a thread goes to sleep: some 250 microseconds

_board = board.new()
_using = threading.Lock()  # the board; by one caller at a time
_pool: list[threading.Thread] = []
_asleep: list[threading.Lock] = []  # of the pool; each wakes when its lock is released
_announced = 0  # jobs, before they are written down
_shunned = -1  # the processor that they keep off
_getcpu = hasattr(os, "sched_setaffinity") and getattr(ctypes.PyDLL(None), "sched_getcpu", None)
_blas: list[LibController] | None = None


class _Given(threading.local):
    """Where a thread that splits work writes down what its parts are given."""

    def __init__(self) -> None:
        self.words = np.empty(board.ROOM, np.int64)
        self.place = self.words.ctypes.data


_given = _Given()


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available() -> int:
    """MINIDL_THREADS, or the processors."""
    wanted = os.environ.get("MINIDL_THREADS", "")
    if wanted and not (wanted.isdigit() and int(wanted) > 0):
        raise ValueError(f"MINIDL_THREADS is {wanted!r}; expected a number of threads, 1 or more")
    return int(wanted) if wanted else _processors()


_count = _available()


def count() -> int:
    """How many threads kernels use. The same number gives the same results, bit for bit."""
    return _count


def use(threads: int) -> None:
    """Let kernels use so many threads, the calling one among them."""
    global _count
    if threads < 1:
        raise ValueError(f"threads: {threads}, expected 1 or more")
    _count = threads


def parts(length: int, *, grain: int) -> int:
    """Into how many parts a range is split, each of which is worth a thread: `grain` or longer."""
    return max(1, min(_count, board.MOST, length // max(1, grain)))


def split(loop: Callable[..., int], length: int, parts: int, *arguments: Any) -> None:
    """loop(*arguments, part) for so many parts of range(length), at the same time.

    loop: made by `board.parallel`. The same number of parts gives the same results, whoever
    takes them. Raises MemoryError.
    """
    global _announced
    place = _given.place
    code = loop(place, *arguments)
    if parts == 1 or not _using.acquire(blocking=False):  # somebody else has the threads
        failed = board.spread(0, code, place, length, parts)
    else:
        try:
            _start(parts - 1)
            _keep_off()
            _announced += 1
            while _asleep:
                _asleep.pop().release()
            failed = board.spread(_board.ctypes.data, code, place, length, parts)
        finally:
            _using.release()
    if failed:
        raise MemoryError(f"{loop.__name__}: no memory for what it works on")


@contextlib.contextmanager
def blas_alone() -> Iterator[None]:
    """Inside, each BLAS call stays on the thread that makes it."""
    global _blas
    if _blas is None:
        _blas = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [(library, count) for library in _blas if (count := library.num_threads) != 1]
    for library, _ in before:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in before:
            library.set_num_threads(count)


def _start(wanted: int) -> None:
    """Have so many threads in the pool, or as many as there are other processors."""
    global _shunned
    while len(_pool) < wanted and len(_pool) < _processors() - 1:
        thread = threading.Thread(target=_serve, daemon=True, name=f"minidl-{len(_pool)}")
        thread.start()
        _pool.append(thread)
        _shunned = -1  # the new one knows of nothing yet


def _keep_off() -> None:
    """Let the pool run on all processors that the caller may use, but the one that it is on."""
    global _shunned
    here = _getcpu() if _getcpu else _shunned
    if here == _shunned:
        return
    _shunned, others = here, os.sched_getaffinity(0) - {here}
    with contextlib.suppress(OSError):  # there is no other, or the system does not let us
        for thread in _pool:
            assert thread.native_id  # it has started
            os.sched_setaffinity(thread.native_id, others)


def _serve() -> None:
    bed = threading.Lock()
    bed.acquire()
    while True:
        heard = _announced
        board.serve(_board.ctypes.data, PATIENCE)
        if heard == _announced:  # or a job is being written down
            _asleep.append(bed)
            bed.acquire()


def _forget() -> None:
    """After a fork only the forking thread exists."""
    global _board, _using
    _board, _using = board.new(), threading.Lock()
    _pool.clear()
    _asleep.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
