"""The demo's worker processes: started as an operator would start them, and ended with SIGTERM."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import orjson

from worker.errors import WorkerError
from worker.settings.load import PREFIX

#: A worker that does not consume within this time has failed to start. Seconds.
_START_S: Final = 30
#: Longer than a drain with the default grace. Seconds.
_END_S: Final = 30
#: The longest line of a log that is read.
_LONGEST_LINE: Final = 1024**2


class Member:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Begin to read what *process* writes."""
        self.process = process
        self._started = asyncio.Event()
        self._last = b"none"
        self._reading = asyncio.create_task(self._read(), name=f"log of {process.pid}")

    async def started(self) -> None:
        """Wait until it takes messages; raises WorkerError when it does not."""
        starting = asyncio.create_task(self._started.wait(), name=f"start of {self.process.pid}")
        try:
            await asyncio.wait((starting, self._reading), timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            starting.cancel()
        if not self._started.is_set():
            raise WorkerError(f"a worker did not start; its last line: {self._line}")

    def check(self) -> None:
        """Raise WorkerError when it is gone."""
        if self._reading.done():
            raise WorkerError(f"worker {self.process.pid} is gone; its last line: {self._line}")

    async def end(self) -> None:
        """Ask it to drain, and wait; one that does not leave is killed, and also when the waiting is given up."""
        try:
            if self.process.returncode is None:
                self.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(_END_S):
                await self._reading
        except TimeoutError:
            pass
        finally:
            if self.process.returncode is None and not self._reading.done():
                self.process.kill()
        await self.process.wait()

    @property
    def _line(self) -> str:
        return self._last.decode(errors="backslashreplace")

    async def _read(self) -> None:
        """Read to the end: a worker whose log nobody reads stops when the pipe is full."""
        if self.process.stdout is None:
            return
        async for line in self.process.stdout:
            self._last = line.strip() or self._last
            if b'"worker.started"' in line and orjson.loads(line).get("event") == "worker.started":
                self._started.set()


@asynccontextmanager
async def crew(count: int, settings: Mapping[str, str]) -> AsyncIterator[list[Member]]:
    """*count* workers with *settings* and nothing else of the configuration; they are gone afterwards."""
    # Through the environment: a command line is read by everybody on the machine.
    ours = {PREFIX + key.replace(".", "__").upper(): value for key, value in settings.items()}
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX.rstrip("_"))}
    members: list[Member] = []
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "worker", "run",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                limit=_LONGEST_LINE, env=others | ours,
                start_new_session=True,  # Ctrl-C is for the demo, which ends its workers itself
            )  # fmt: skip
            members.append(Member(process))
        await asyncio.gather(*(member.started() for member in members))
        yield members
    finally:
        await asyncio.gather(*(member.end() for member in members), return_exceptions=True)
