"""The test's end of `tests.faults.doomed`: orders a life, and learns how it ended."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tests.waiting import eventually

#: The repository: where `tests` can be imported from.
_ROOT: Final = Path(__file__).parents[2]
#: Seconds that a worker may live that nobody dooms.
_LONG_S: Final = 3600
#: Seconds that a start may take on a busy machine.
_START_S: Final = 20
#: Characters of the log that a failure shows.
_TOLD: Final = 4000


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended."""

    #: The exit code; negative is the number of the signal that killed it.
    exit: int
    #: The point that it named with its last words, None when it said none.
    point: str | None
    #: The id of the request that was at the point, where the point knows it.
    about: str | None
    #: Ids of the requests that it had in hand.
    in_hand: tuple[str, ...]
    lived_s: float

    @property
    def is_as_ordered(self) -> bool:
        """Whether it came to its point and was killed there."""
        return self.point is not None and self.exit == -signal.SIGKILL


class Zygote:
    """Gives birth to one worker at a time."""

    def __init__(self, parent: Process, log: Path, settings: Mapping[str, Any]) -> None:
        self._parent = parent
        self._settings = settings
        #: What all its workers wrote.
        self.log = log
        #: The latest worker's process number.
        self.pid = 0
        self._ending: asyncio.Task[Death] | None = None

    async def life(self, point: str, passing: int) -> Death:
        """Let a worker live until it passes *point* for that time."""
        await self.begin(point=point, passing=passing)
        return await self.end()

    @asynccontextmanager
    async def worker(self, **order: Any) -> AsyncIterator[None]:
        """A worker that consumes, and lives as long as the block unless the block drains it earlier."""
        before = len(self.lines("worker.started"))
        await self.begin(patience=_LONG_S, **order)
        ending = self._ending = asyncio.create_task(self.end())
        try:
            await eventually(lambda: ending.done() or len(self.lines("worker.started")) > before, _START_S, "a start")
            assert not ending.done(), f"the worker ended at once: {self.last_lines()}"
            yield
            await self.drain()
        finally:
            if not ending.done():
                os.kill(self.pid, signal.SIGKILL)
            await ending

    async def drain(self) -> None:
        """Let the worker leave, if it has not left already."""
        assert self._ending is not None
        if not self._ending.done():
            os.kill(self.pid, signal.SIGTERM)
        death = await self._ending
        assert death.exit == 0, f"the worker did not drain: {death}\n{self.last_lines()}"

    async def begin(self, **order: Any) -> None:
        """Start a worker; `end` must follow."""
        given = {"settings": self._settings, "log": str(self.log), **order}
        assert self._parent.stdin is not None
        self._parent.stdin.write(orjson.dumps(given) + b"\n")
        self.pid = (await self._told())["pid"]

    async def end(self) -> Death:
        """Wait until the worker has ended."""
        told = await self._told()
        words = told["words"] or {"point": None, "about": None, "in_hand": ()}
        return Death(told["exit"], words["point"], words["about"], tuple(words["in_hand"]), told["lived_s"])

    def last_lines(self) -> str:
        """The end of the log, for a failure's text."""
        return self.log.read_text()[-_TOLD:]

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What its workers logged as *event*; the log grows long, and is looked through often."""
        named = f'"event":"{event}"'.encode()
        found = [orjson.loads(line) for line in self.log.read_bytes().splitlines() if named in line and _is_whole(line)]
        return [line for line in found if line["event"] == event]

    async def _told(self) -> dict[str, Any]:
        assert self._parent.stdout is not None
        line = await self._parent.stdout.readline()
        assert line, f"the parent of the workers ended: {self.last_lines()}"
        told: dict[str, Any] = orjson.loads(line)
        return told


def _is_whole(line: bytes) -> bool:
    """Whether *line* is an event, and not one that is being written; a traceback is none."""
    return line.startswith(b"{") and line.endswith(b"}")


@asynccontextmanager
async def zygote(log: Path, environment: Mapping[str, str], settings: Mapping[str, Any]) -> AsyncIterator[Zygote]:
    """A parent of workers with *settings* (``section.key``) that write to *log*; gone afterwards."""
    with log.open("ab") as errors:
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.doomed"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            env=environment,
            cwd=_ROOT,
        )
    one = Zygote(parent, log, settings)
    try:
        yield one
    finally:
        assert parent.stdin is not None
        parent.stdin.close()
        code = await parent.wait()
    assert code == 0, f"the parent of the workers failed: {one.last_lines()}"
