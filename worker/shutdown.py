"""From a signal to the end: first stop intake, then wait for what is in hand, at most for the grace period.

asyncio delivers signals between two turns of the event loop, so a callback may touch everything. The first SIGTERM or
SIGINT asks to drain; a second one leaves at once, which is safe: what is not acknowledged is delivered again.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from worker.ports import Events

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Two events: drain, and leave at once."""

    def __init__(self, events: Events) -> None:
        """Nothing asked for yet."""
        self.drain = asyncio.Event()
        self.leave = asyncio.Event()
        self._events = events

    def ask(self) -> None:
        """Ask to drain; asked a second time, to leave at once."""
        if self.drain.is_set():
            self._events.emit("worker.second_signal")
            self.leave.set()
        self.drain.set()


@contextmanager
def on_signals(shutdown: Shutdown) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask *shutdown* while the block runs."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, shutdown.ask)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
