"""One pool of threads, over which kernels split their work. BLAS is held to one thread meanwhile.

Loops compiled by Numba and BLAS's products run without Python's lock, so that plain threads do.
With a pool in each library, the pools take the cores from each other: where another process is busy
too, BLAS with two threads of its own on two cores was ten times slower than with one.

A part of the work is worth a thread if it takes longer than waking one, some 80 microseconds.

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
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, TypeVar

from threadpoolctl import LibController, ThreadpoolController

R = TypeVar("R")
GRAIN = 1 << 17  # numbers, each of a few operations, that are worth a thread
WORTH = 1 << 24  # multiplications in a product that are
_Task = tuple[Callable[[], Any], "SimpleQueue[tuple[Any, BaseException | None]]"]

_tasks: SimpleQueue[_Task] = SimpleQueue()
_pool: list[threading.Thread] = []  # they wait for tasks
_shunned = -1  # the processor that they keep off
_getcpu = hasattr(os, "sched_setaffinity") and getattr(ctypes.PyDLL(None), "sched_getcpu", None)
_inside = threading.local()  # in one of them, work is not split again
_blas: list[LibController] | None = None


def _available() -> int:
    """The processors that this process may use, or MINIDL_THREADS."""
    wanted = os.environ.get("MINIDL_THREADS", "")
    if wanted and not (wanted.isdigit() and int(wanted) > 0):
        raise ValueError(f"MINIDL_THREADS is {wanted!r}; expected a number of threads, 1 or more")
    if wanted:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def split(work: Callable[[int, int], R], length: int, *, grain: int) -> list[R]:
    """[work(start, stop), ...] over consecutive parts of range(length), at the same time.

    grain: the shortest part that is worth a thread. The results are in order; an exception in any
    part is raised here once all have ended.
    """
    parts = 1 if getattr(_inside, "pool", False) else max(1, min(_count, length // max(1, grain)))
    if parts == 1:
        return [work(0, length)]
    ends = [length * i // parts for i in range(parts + 1)]
    _start(parts - 1)
    _keep_off()
    waiting = []
    for start, stop in pairwise(ends[1:]):
        answer: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        _tasks.put((lambda start=start, stop=stop: work(start, stop), answer))  # type: ignore[misc]
        waiting.append(answer)
    error: BaseException | None = None
    results: list[Any] = []
    try:
        results.append(work(0, ends[1]))
    except BaseException as raised:  # also Ctrl-C: the other parts still use the arrays
        error = raised
    for answer in waiting:
        result, raised_there = answer.get()
        results.append(result)
        error = error or raised_there
    if error is not None:
        raise error
    return results


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
    global _shunned
    while len(_pool) < wanted:
        _pool.append(threading.Thread(target=_serve, daemon=True, name=f"minidl-{len(_pool)}"))
        _pool[-1].start()
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
            os.sched_setaffinity(thread.native_id or 0, others)


def _serve() -> None:
    _inside.pool = True
    while True:
        work, answer = _tasks.get()
        try:
            answer.put((work(), None))
        except BaseException as raised:
            answer.put((None, raised))
        del work, answer  # or arrays would live until the next task


def _forget() -> None:
    """After a fork only the forking thread exists, and the queue may be held by one that does
    not."""
    global _tasks
    _pool.clear()
    _tasks = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
