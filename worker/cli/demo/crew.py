"""The demo's worker processes: started as an operator would start them, and ended with SIGTERM."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import orjson

from worker.configuration import PREFIX
from worker.errors import WorkerError

#: A worker that does not consume within this time has failed to start.
_START_S: Final = 30
_END_S: Final = 30


class Member:
    """One worker process, and the lines that it logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Begin to read what *process* writes."""
        self.process = process
        self.events: dict[str, int] = {}
        self._started = asyncio.Event()
        self._last = b""
        self._reading = asyncio.create_task(self._read(), name=f"log of {process.pid}")

    async def started(self) -> None:
        """Wait until it takes messages; raises WorkerError when it does not."""
        waiting = asyncio.create_task(self._started.wait())
        await asyncio.wait((waiting, self._reading), timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._started.is_set():
            raise WorkerError(f"a worker did not start; its last line: {self._last.decode(errors='replace')}")

    async def end(self) -> int:
        """Ask it to drain, and wait; returns its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                code = await self.process.wait()
        except TimeoutError:
            self.process.kill()
            code = await self.process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        if self.process.stdout is None:
            return
        async for line in self.process.stdout:
            self._last = line.strip() or self._last
            try:
                name = str(orjson.loads(line).get("event"))
            except (orjson.JSONDecodeError, AttributeError):
                continue
            self.events[name] = self.events.get(name, 0) + 1
            if name == "worker.started":
                self._started.set()


@asynccontextmanager
async def crew(count: int, flags: Mapping[str, str]) -> AsyncIterator[list[Member]]:
    """*count* workers with *flags* as settings, all of which take messages; they are gone afterwards."""
    # Through the environment: a command line is read by everybody on the machine.
    ours = {PREFIX + key.replace(".", "__").upper(): value for key, value in flags.items()}
    members: list[Member] = []
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "worker", "run",
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=os.environ | ours,
                start_new_session=True,  # Ctrl-C is for the demo, which ends its workers itself
            )  # fmt: skip
            members.append(Member(process))
        await asyncio.gather(*(member.started() for member in members))
        yield members
    finally:
        await asyncio.gather(*(member.end() for member in members))
