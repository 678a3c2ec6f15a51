"""What ends the worker: a signal, or a part of it that failed. It drains either way: what is in hand is finished.

A signal is heard between two turns of the event loop, so that what it starts may touch everything. The first SIGTERM or
SIGINT asks to drain; a second one leaves at once, which is safe: what is not acknowledged is delivered again.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from worker.errors import WorkerError
from worker.ports import Events

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Two events, drain and leave at once, and why."""

    def __init__(self, events: Events) -> None:
        """Nothing asked for yet."""
        self.drain = asyncio.Event()
        self.leave = asyncio.Event()
        #: The first failure of a part; None when the worker ends because it was asked to.
        self.failure: Exception | None = None
        self._events = events
        self._was_asked = False

    def ask(self) -> None:
        """Ask to drain; asked a second time, to leave at once."""
        if self._was_asked:
            self._events.emit("worker.second_signal")
            self.leave.set()
        self._was_asked = True
        self.drain.set()

    def fail(self, error: Exception) -> None:
        """Drain because a part of the worker cannot go on: a supervisor mends more than a worker that does half."""
        self.failure = self.failure or error
        self.drain.set()


class Parts:
    """Tasks that live as long as the worker; one that ends by itself ends the worker, else it would only look alive."""

    def __init__(self, shutdown: Shutdown) -> None:
        """*shutdown* is told of the first part that fails."""
        self._shutdown = shutdown
        self._tasks: set[asyncio.Task[None]] = set()
        self._finite: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def start(self, work: Coroutine[Any, Any, None], name: str, *, ends: bool = False) -> "asyncio.Task[None]":
        """Begin *work*; one that *ends* may do so without an error."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        if ends:
            self._finite.add(task)
        task.add_done_callback(self._ended)
        return task

    async def aclose(self) -> None:
        """End all of them."""
        self._is_closing = True
        await end(*self._tasks)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._shutdown.fail(_only(error))
        elif not (self._is_closing or self._shutdown.drain.is_set() or (task in self._finite and not task.cancelled())):
            self._shutdown.fail(WorkerError(f"a part of the worker ended by itself: {task.get_name()}"))
        self._finite.discard(task)


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel *tasks* and wait until they have ended, whatever they raise."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@contextmanager
def on_signals(shutdown: Shutdown) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask *shutdown* while the block runs; from then on they change nothing any more.

    A worker that has left owes its supervisor its exit code: a signal that comes while the interpreter ends would put
    another one in its place. They are Python's handlers and not the event loop's, which lets go of its own first and
    leaves the system's in their place for a moment. Whoever goes on after the block sets their own.
    """
    loop = asyncio.get_running_loop()

    def ask(*_: object) -> None:
        loop.call_soon_threadsafe(shutdown.ask)

    for number in SIGNALS:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _only(error: Exception) -> Exception:
    """What a task group wrapped, when that is one error: its own name says nothing."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error
