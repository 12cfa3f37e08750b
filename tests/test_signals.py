"""Signals: the first lets a step end, the second interrupts, other handlers stay."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from minidl.models import signals
from minidl.models.signals import ASKING, Stopped, exit_code, heeded, stoppable


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Give signals the handlers of a new program, and restore the old ones afterwards."""
    before = {number: signal.getsignal(number) for number in ASKING}
    for number in ASKING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ASKING)
def test_the_first_waits_and_the_second_strikes(number: signal.Signals) -> None:
    with stoppable() as asked:
        assert not asked.is_set()
        asked.stop()
        signal.raise_signal(number)
        assert asked.is_set()
        with pytest.raises(Stopped) as caught:
            asked.stop()
        assert exit_code(caught.value) == 128 + number
        with pytest.raises(Stopped):
            signal.raise_signal(number)
    after = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    assert signal.getsignal(number) is after


@pytest.mark.parametrize("number", ASKING)
def test_commands_end_by_an_exception(number: signal.Signals) -> None:
    with heeded():
        with pytest.raises(KeyboardInterrupt) as caught:
            signal.raise_signal(number)
        with stoppable() as asked:  # within a command
            signal.raise_signal(number)
            assert asked.is_set()
        with pytest.raises(Stopped):
            signal.raise_signal(number)
    assert exit_code(caught.value) == 128 + number
    assert exit_code(KeyboardInterrupt()) == 130


def test_an_error_of_interrupted_code_is_the_interrupt() -> None:
    """NumPy, for example, reports that it is not installed if its import is interrupted."""
    with pytest.raises(Stopped) as caught, heeded():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("a bad install") from None
    assert exit_code(caught.value) == 128 + signal.SIGTERM
    with pytest.raises(ImportError), heeded():
        raise ImportError("no signal has come")


@pytest.mark.parametrize("number", ASKING)
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """A program under nohup ignores SIGHUP; a shell lets background programs ignore SIGINT."""
    signal.signal(number, signal.SIG_IGN)
    with heeded(), stoppable() as asked:
        signal.raise_signal(number)
        assert not asked.is_set()
    assert signal.getsignal(number) is signal.SIG_IGN


def test_others_that_listen_are_left_alone() -> None:
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    with heeded(), stoppable() as asked:
        signal.raise_signal(signal.SIGTERM)
    assert heard == [1] and not asked.is_set()


def test_off_the_main_thread_nothing_is_listened_to() -> None:
    seen = []

    def work() -> None:
        with heeded(), stoppable() as asked:
            seen.append(asked.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to close")
def test_a_terminal_that_was_closed_is_no_longer_written_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, terminal = os.openpty()
    monkeypatch.setattr("minidl.models.signals._OUTPUTS", (terminal,))
    with stoppable() as asked:
        os.close(ours)
        with pytest.raises(OSError):
            os.write(terminal, b"gone")
        signal.raise_signal(signal.SIGHUP)
        assert os.write(terminal, b"to nobody") == 9
    assert asked.number == signal.SIGHUP
    os.close(terminal)


def test_a_closed_output_is_no_terminal() -> None:
    end, other = os.pipe()
    os.close(end)
    os.close(other)
    assert not signals._is_terminal(end)
