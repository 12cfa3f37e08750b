"""Signals that ask a command to stop: Ctrl-C, SIGTERM, and SIGHUP, sent by a closed terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

ASKING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_OUTPUTS = (1, 2)  # file descriptors


class Stopped(KeyboardInterrupt):
    """One of the signals has arrived. It behaves as Ctrl-C's own KeyboardInterrupt."""

    number: int = signal.SIGINT

    @classmethod
    def by(cls, number: int) -> Stopped:
        """By the signal of this number."""
        stopped = cls()
        stopped.number = number
        return stopped


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """128 and the signal's number, as shells have it."""
    return 128 + getattr(interrupt, "number", signal.SIGINT)


class Asked:
    """A flag: has a signal asked to stop?"""

    def __init__(self) -> None:
        self.number = 0

    def is_set(self) -> bool:
        return self.number > 0

    def stop(self) -> None:
        """Raise Stopped if a signal has asked for it."""
        if self.number:
            raise Stopped.by(self.number)


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Within, each of the signals raises Stopped where it would have ended the process at once.

    A signal that is ignored, as SIGHUP is under nohup, or is another's business, stays so. Code
    that was interrupted may report an error of its own, as NumPy's import does: that, too, ends
    as Stopped.
    """
    asked = Asked()

    def strike(number: int, _: Any) -> None:
        asked.number = number
        raise Stopped.by(number)

    with _handled(strike):
        try:
            yield
        except Exception:
            asked.stop()
            raise


@contextlib.contextmanager
def stoppable() -> Iterator[Asked]:
    """Within, a signal only notes that it has come, so that a step ends whole; a second one raises
    Stopped at once. The same signals as in `heeded`."""
    asked = Asked()

    def ask(number: int, _: Any) -> None:
        if asked.is_set():
            raise Stopped.by(number)
        asked.number = number

    with _handled(ask):
        yield asked


@contextlib.contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Within, the handler serves the signals that are ours to handle; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [output for output in _OUTPUTS if _is_terminal(output)]

    def handle(number: int, frame: Any) -> None:
        for output in terminals:
            if not _is_terminal(output):  # it was closed, and to write there would be an error
                os.dup2(os.open(os.devnull, os.O_WRONLY), output)
        handler(number, frame)

    handle.minidl = True  # type: ignore[attr-defined]
    before = {number: signal.getsignal(number) for number in ASKING}
    ours = [number for number, current in before.items() if _may_be_replaced(current)]
    try:
        for number in ours:
            signal.signal(number, handle)
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _may_be_replaced(handler: Any) -> bool:
    """Python's and the system's own may be, and that of an enclosing `heeded`."""
    own = handler in (signal.SIG_DFL, signal.default_int_handler)
    return own or hasattr(handler, "minidl")


def _is_terminal(output: int) -> bool:
    try:
        return os.isatty(output)
    except OSError:
        return False
