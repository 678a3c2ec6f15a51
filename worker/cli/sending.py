"""Publishes a stream of requests, many at once, and knows where to go on when it ends too early."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final, TypeAlias

from worker.cli.ahead import Ahead
from worker.cli.requests import Line
from worker.client import Publisher
from worker.errors import UsageError

#: Publishes that wait for their confirm at once.
IN_FLIGHT: Final = 200
#: Gives the next line and its position, or None at the end.
_Take: TypeAlias = Callable[[], Awaitable[tuple[int, Line] | None]]


class Sending:
    """One pass over *lines*, from the position *skip* on."""

    def __init__(self, lines: Iterator[Line], skip: int, tell_fault: Callable[[Line], None]) -> None:
        """Nothing is read yet; *tell_fault* hears of each line that cannot be published."""
        self._lines = enumerate(islice(lines, skip, None), start=skip)
        self._tell_fault = tell_fault
        #: Positions that were begun and did not end.
        self._open: set[int] = set()
        #: Up to here lines were begun.
        self._next = skip
        #: Requests that the broker confirmed, and lines at fault.
        self.confirmed = self.faults = 0

    @property
    def ended(self) -> int:
        """Lines that need no more attention."""
        return self.confirmed + self.faults

    @property
    def resume_at(self) -> int:
        """How many lines to skip so that none is lost: all before were confirmed, or were at fault."""
        return min(self._open, default=self._next)

    @property
    def repeated(self) -> int:
        """How many requests may be published again by going on at `resume_at`."""
        return self._next - self.resume_at

    async def run(
        self, publisher: Publisher, tell_end: Callable[[], object], stop: Callable[[], None] | None = None
    ) -> None:
        """Publish until the end of the lines, or until *publisher* raises.

        Args:
            publisher: Takes them.
            tell_end: Hears of the end of each line.
            stop: Given when one may have to wait for a line: ends that wait.
        """
        if stop is None:
            await self._all(publisher, tell_end, self._take)
        else:
            async with Ahead(self._lines, stop) as ahead:
                await self._all(publisher, tell_end, ahead.next)

    async def _take(self) -> tuple[int, Line] | None:
        return next(self._lines, None)

    async def _all(self, publisher: Publisher, tell_end: Callable[[], object], take: _Take) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(self._publish(publisher, tell_end, take), name="publish")
        except ExceptionGroup as group_of_errors:
            raise group_of_errors.exceptions[0] from None

    async def _publish(self, publisher: Publisher, tell_end: Callable[[], object], take: _Take) -> None:
        while (taken := await take()) is not None:
            position, line = taken
            self._next = position + 1
            self._open.add(position)
            fault = await _fault(publisher, line)
            self._open.discard(position)
            if fault is None:
                self.confirmed += 1
            else:
                self.faults += 1
                self._tell_fault(replace(line, body=None, fault=fault))
                await asyncio.sleep(0)  # a file of nothing else would never let a signal in
            tell_end()


async def _fault(publisher: Publisher, line: Line) -> str | None:
    """Publish *line*; returns what is wrong with it, if that is why it was not published."""
    if line.body is None:
        return line.fault
    try:
        await publisher.publish(line.body)
    except UsageError as error:
        return str(error)
    return None
