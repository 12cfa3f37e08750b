"""Signals that ask a command to stop: Ctrl-C, SIGTERM, and SIGHUP, sent by a closed terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_OUTPUTS = (1, 2)  # file descriptors


class Stopped(KeyboardInterrupt):
    """One of the signals has arrived. It behaves as Ctrl-C's own KeyboardInterrupt."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return 128 and the signal's number, as shells do."""
    return 128 + getattr(interrupt, "number", signal.SIGINT)


class StopRequest:
    """A flag that a signal sets."""

    def __init__(self) -> None:
        self.number = 0

    def is_set(self) -> bool:
        return self.number > 0

    def stop(self) -> None:
        """Raise Stopped if a signal has set the flag."""
        if self.number:
            raise Stopped(self.number)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Let each of the signals raise Stopped within the block, instead of ending the process.

    A signal that is ignored, as SIGHUP is under nohup, or that has another handler, is left alone.
    Interrupted code may raise an error of its own, as NumPy's import does; it becomes Stopped, too.
    """
    request = StopRequest()

    def raise_stopped(number: int, _: Any) -> None:
        request.number = number
        raise Stopped(number)

    with _handled(raise_stopped):
        try:
            yield
        except Exception:
            request.stop()
            raise


@contextlib.contextmanager
def stop_after_step() -> Iterator[StopRequest]:
    """Let a signal within the block only set a flag, so that the current step can finish.

    A second one raises Stopped at once. The signals are those of `stop_on_signals`.
    """
    request = StopRequest()

    def request_stop(number: int, _: Any) -> None:
        if request.is_set():
            raise Stopped(number)
        request.number = number

    with _handled(request_stop):
        yield request


@contextlib.contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Install the handler within the block, in the main thread, for signals that are free."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [output for output in _OUTPUTS if _is_terminal(output)]

    def handle(number: int, frame: Any) -> None:
        for output in terminals:
            if not _is_terminal(output):  # it was closed: writing there would be an error
                os.dup2(os.open(os.devnull, os.O_WRONLY), output)
        handler(number, frame)

    handle.minidl = True  # type: ignore[attr-defined]
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    ours = [number for number, current in before.items() if _may_be_replaced(current)]
    try:
        for number in ours:
            signal.signal(number, handle)
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _may_be_replaced(handler: Any) -> bool:
    """Return whether a handler is Python's, the system's, or an enclosing block's."""
    own = handler in (signal.SIG_DFL, signal.default_int_handler)
    return own or hasattr(handler, "minidl")


def _is_terminal(output: int) -> bool:
    try:
        return os.isatty(output)
    except OSError:
        return False
