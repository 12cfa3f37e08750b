"""Signals: the first lets a step end, the second interrupts, other handlers stay."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from minidl.models import signals
from minidl.models.signals import STOP_SIGNALS, Stopped, exit_code, stop_after_step, stop_on_signals


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Signals as in a program that has just begun; what they were comes back."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_waits_and_the_second_strikes(number: signal.Signals) -> None:
    with stop_after_step() as request:
        assert not request.is_set()
        request.stop()
        signal.raise_signal(number)
        assert request.is_set()
        with pytest.raises(Stopped) as caught:
            request.stop()
        assert exit_code(caught.value) == 128 + number
        with pytest.raises(Stopped):
            signal.raise_signal(number)
    after = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    assert signal.getsignal(number) is after


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_commands_end_by_an_exception(number: signal.Signals) -> None:
    with stop_on_signals():
        with pytest.raises(KeyboardInterrupt) as caught:
            signal.raise_signal(number)
        with stop_after_step() as request:  # within a command
            signal.raise_signal(number)
            assert request.is_set()
        with pytest.raises(Stopped):
            signal.raise_signal(number)
    assert exit_code(caught.value) == 128 + number
    assert exit_code(KeyboardInterrupt()) == 130


def test_an_error_of_interrupted_code_is_the_interrupt() -> None:
    """NumPy, interrupted while it is imported, reports that it is not installed."""
    with pytest.raises(Stopped) as caught, stop_on_signals():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("a bad install") from None
    assert exit_code(caught.value) == 128 + signal.SIGTERM
    with pytest.raises(ImportError), stop_on_signals():
        raise ImportError("no signal has come")


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    """A program under nohup ignores SIGHUP; a shell lets background programs ignore SIGINT."""
    signal.signal(number, signal.SIG_IGN)
    with stop_on_signals(), stop_after_step() as request:
        signal.raise_signal(number)
        assert not request.is_set()
    assert signal.getsignal(number) is signal.SIG_IGN


def test_others_that_listen_are_left_alone() -> None:
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    with stop_on_signals(), stop_after_step() as request:
        signal.raise_signal(signal.SIGTERM)
    assert heard == [1] and not request.is_set()


def test_off_the_main_thread_nothing_is_listened_to() -> None:
    seen = []

    def work() -> None:
        with stop_on_signals(), stop_after_step() as request:
            seen.append(request.is_set())

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
    with stop_after_step() as request:
        os.close(ours)
        with pytest.raises(OSError):
            os.write(terminal, b"gone")
        signal.raise_signal(signal.SIGHUP)
        assert os.write(terminal, b"to nobody") == 9
    assert request.number == signal.SIGHUP
    os.close(terminal)


def test_a_closed_output_is_no_terminal() -> None:
    end, other = os.pipe()
    os.close(end)
    os.close(other)
    assert not signals._is_terminal(end)
