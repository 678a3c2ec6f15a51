"""The worker with a sampler inside: ``python -m tests.bench.sampler STACKS`` is ``sms-worker run``.

The kernel's timer of used CPU time interrupts it, not the clock on the wall: on a machine with more work than cores, a
process waits for its turn mostly inside system calls, and a sampler from outside takes that for work.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

from worker.app import run
from worker.settings.load import load

#: Seconds of CPU time between two samples; not a multiple of the kernel's own tick.
INTERVAL_S: Final = 0.0037


class Sampler:
    """Counts stacks, innermost frame last."""

    def __init__(self) -> None:
        self._stacks: Counter[str] = Counter()

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        frames = []
        while frame is not None:
            code = frame.f_code
            frames.append(f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
            frame = frame.f_back
        self._stacks[";".join(reversed(frames))] += 1

    def write(self, path: Path) -> None:
        """One stack a line, folded, with the number of its samples."""
        path.write_text("".join(f"{stack} {samples}\n" for stack, samples in self._stacks.items()), "utf-8")


if __name__ == "__main__":
    sampler, stacks = Sampler(), Path(sys.argv[1])
    signal.signal(signal.SIGPROF, sampler)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    try:
        run(load([], os.environ, {}))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        sampler.write(stacks)
