"""What signals do when a test begins, whoever started it."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

#: Signals that a program may find ignored or blocked when it starts: a shell starts background jobs with SIGINT
#: ignored, nohup starts a program with SIGHUP ignored, a supervisor may leave any of them blocked.
_DEFAULTS: Final[Mapping[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGQUIT: signal.SIG_DFL,
}


@contextmanager
def default_signals() -> Iterator[None]:
    """Let signals do what they do by default, here and in every program that is started here, while the block runs."""
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, _DEFAULTS)
    before = {number: signal.signal(number, default) for number, default in _DEFAULTS.items()}
    try:
        yield
    finally:
        for number, disposition in before.items():
            signal.signal(number, disposition)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
