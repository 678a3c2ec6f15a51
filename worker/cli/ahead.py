"""Takes from an iterator that may wait, such as one over standard input, without stopping the event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")

#: Values that are taken before they are asked for.
_MOST: Final = 1_000


class Ahead(Generic[T]):
    """The values of an iterator, which a thread of its own takes."""

    def __init__(self, values: Iterator[T], stop: Callable[[], None]) -> None:
        """*stop* ends a wait of *values*, which are then at their end."""
        self._values = values
        self._stop = stop
        self._room = threading.Semaphore(_MOST)
        self._left = False
        self._loop = asyncio.get_running_loop()
        #: The values in order; None at their end, and whatever they raised.
        self._taken: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._take, name="ahead", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left = True
        self._stop()
        self._room.release()
        self._thread.join()

    async def next(self) -> T | None:
        """The next value; None at the end. Raises what the iterator raised; any number may wait for it at once."""
        match await self._taken.get():
            case Exception() as error:
                self._taken.put_nowait(error)
                raise error
            case None:
                self._taken.put_nowait(None)
                return None
            case value:
                self._room.release()
                return value

    def _take(self) -> None:
        try:
            for value in self._values:
                self._room.acquire()
                if self._left:
                    return
                self._give(value)
        except Exception as error:  # noqa: BLE001 - it is raised where the value is asked for
            self._give(error)
        else:
            self._give(None)

    def _give(self, value: T | Exception | None) -> None:
        self._loop.call_soon_threadsafe(self._taken.put_nowait, value)
