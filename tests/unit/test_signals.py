"""Tests that send signals to what they start must not depend on what whoever started them does with signals."""

import signal
import subprocess
import sys

import pytest

from tests.signals import default_signals

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
#: Says that it runs, and runs until a signal ends it.
CHILD = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]


def end_of_a_child_that_gets(number: signal.Signals) -> int:
    with subprocess.Popen(CHILD, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        return child.wait(30)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_child_is_ended_by_a_signal_that_was_ignored_and_blocked(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        with default_signals():
            assert end_of_a_child_that_gets(number) == -number
        assert signal.getsignal(number) == signal.SIG_IGN
        assert number in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(number, before)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_test_begins_with_the_defaults(number: signal.Signals) -> None:
    assert end_of_a_child_that_gets(number) == -number
