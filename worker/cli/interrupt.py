"""Commands that wait for something can be interrupted, and leave through every ``finally`` on the way."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def complete(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* in an event loop of its own and return its result.

    SIGINT, SIGTERM and SIGHUP cancel it; a second one does not wait for its cleaning up.

    Raises:
        KeyboardInterrupt: a signal cancelled *work*.
    """
    interrupted = False

    async def watched() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        watching = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            forget()
            if task is not None:
                task.cancel()

        def forget() -> None:
            while watching:
                loop.remove_signal_handler(watching.pop())

        for number in watching:
            loop.add_signal_handler(number, interrupt)
        try:
            return await work
        finally:
            forget()

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
