"""Processes that are measured, and what the kernel says of them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Seconds that a program may take to leave.
_LEAVE_S: Final = 40


class Cpu(NamedTuple):
    """CPU time of a process with all its threads, in seconds."""

    user: float
    system: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """So far."""
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return cls(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)

    @property
    def both(self) -> float:
        return self.user + self.system

    def since(self, before: "Cpu") -> "Cpu":
        """What was used since *before*."""
        return Cpu(self.user - before.user, self.system - before.system)


class Machine:
    """How much of the machine programs that are no part of a measurement take meanwhile."""

    def __init__(self, *ours: int) -> None:
        """Begin; *ours* are the processes that are measured, besides this one and the servers."""
        self._ours = (*ours, os.getpid(), *servers().values())
        self._began = self._look()

    def others(self) -> float:
        """Their part of the time of all cores since the beginning."""
        busy, ours, whole = (now - then for now, then in zip(self._look(), self._began, strict=True))
        return max(busy - ours, 0.0) / whole

    def _look(self) -> tuple[float, float, float]:
        """Seconds of all cores: busy, in our processes, and altogether."""
        fields = Path("/proc/stat").read_text("ascii").partition("\n")[0].split()[1:9]
        ticks = [int(field) / _TICKS for field in fields]
        idle = ticks[3] + ticks[4]
        return sum(ticks) - idle, sum(Cpu.of(pid).both for pid in self._ours), sum(ticks)


@dataclass(frozen=True)
class Program:
    """A process that was started here."""

    process: Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> Cpu:
        """CPU time so far; raises RuntimeError with the program's last words when it has ended."""
        try:
            return Cpu.of(self.pid)
        except OSError:
            raise RuntimeError(f"it ended: {self.log.read_text('utf-8', 'replace')[-2000:]}") from None

    def peak_mib(self) -> float:
        """The most memory that it had so far."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    async def end(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@asynccontextmanager
async def program(
    log: Path, *arguments: str, environment: Mapping[str, str] | None = None, directory: Path | None = None
) -> AsyncIterator[Program]:
    """Run ``python *arguments*`` for the block, in *directory*; it writes into *log*, a file, as in production."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **(environment or {})},
        )
    running = Program(process, log)
    try:
        yield running
    finally:
        await running.end()


def servers() -> dict[str, int]:
    """Broker and Redis by the name of their program, when the process that started us started them too."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            name, _, rest = (entry / "stat").read_text("ascii").partition("(")[2].rpartition(")")
        except OSError:  # no process, or it has just ended
            continue
        if int(rest.split()[1]) == os.getppid() and name in {"beam.smp", "redis-server"}:
            found[name] = int(entry.name)
    return found
