"""A worker as the operator runs it: a process, its settings in the environment, its log on standard output."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.waiting import eventually
from worker.settings.load import PREFIX

#: Longer than a start takes on a busy machine. Seconds.
_PATIENCE = 30


@dataclass
class WorkerProcess:
    """A worker that was started."""

    _process: Process
    _log: Path

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What it logged as *event*."""
        whole, _, _ = self._log.read_bytes().rpartition(b"\n")
        return [line for line in map(orjson.loads, whole.splitlines()) if line["event"] == event]

    async def logged(self, event: str) -> dict[str, Any]:
        """Wait until it logged *event*, and return the first such line."""
        found = await eventually(lambda: self.lines(event) or self._process.returncode is not None, _PATIENCE, event)
        assert isinstance(found, list), self._log.read_text()
        first: dict[str, Any] = found[0]
        return first

    def terminate(self) -> None:
        """Send SIGTERM; past the library, which takes the exit code of a process that has just ended, and loses it."""
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGTERM)

    async def ended(self, timeout: float = _PATIENCE) -> int:  # noqa: ASYNC109 - a test's deadline
        """Wait for its end and return the exit code."""
        async with asyncio.timeout(timeout):
            return await self._process.wait()


@asynccontextmanager
async def worker_process(
    log: Path, environment: Mapping[str, str], settings: Mapping[str, Any], *arguments: str
) -> AsyncIterator[WorkerProcess]:
    """``sms-worker run`` with *settings* (``section.key``), from its start on; killed afterwards if it still runs."""
    given = {PREFIX + key.upper().replace(".", "__"): str(value) for key, value in settings.items()}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "run", *arguments), stdout=out, stderr=out, env={**environment, **given}
        )
    try:
        worker = WorkerProcess(process, log)
        await worker.logged("worker.started")
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
