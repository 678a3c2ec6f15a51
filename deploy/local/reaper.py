"""What ends a stack: kill all that belongs to its directory, then remove the directory.

It runs as a program of its own that waits until its standard input closes, which the kernel does for whoever started
the stack, however that one dies: so nothing stays behind even after a SIGKILL. It is the only way a stack ends, and
therefore a tested one.

A program belongs to a stack when its environment names the stack's directory, or when its output goes there (Redis
writes its title over its environment). Process groups would not do: Erlang's helpers and the command's children may
leave theirs, and the numbers are given out again. Linux only, for ``/proc``.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Environment variable that names the stack's directory to all that is started in it.
MARK: Final = "SMS_STACK_DIRECTORY"
#: File in a stack's directory that whoever started the stack keeps locked (flock) as long as it lives.
LOCK: Final = "lock"
_PROC: Final = Path("/proc")
#: Seconds between two looks at who is still there; SIGKILL works within milliseconds.
_PAUSE: Final = 0.01


def belonging_to(directory: Path, proc: Path = _PROC) -> Iterator[int]:
    """The process ids of all that belongs to the stack in *directory*, except our own."""
    for entry in proc.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _belongs(entry, directory):
            yield int(entry.name)


def _belongs(entry: Path, directory: Path) -> bool:
    try:
        if (entry / "fd" / "1").readlink().is_relative_to(directory):
            return True
    except OSError:  # it ended meanwhile, belongs to another user, or has no output
        pass
    try:
        return f"{MARK}={directory}".encode() in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def reap(directory: Path) -> None:
    """Kill what belongs to *directory* until nothing is left, and remove it.

    A directory without the lock file is not a stack's and is left alone: a wrong path must not kill strangers.
    """
    if not (directory / LOCK).is_file():
        return
    while pids := list(belonging_to(directory)):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    reap(Path(sys.argv[1]))
