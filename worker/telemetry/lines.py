"""Lines on their way to a file descriptor, which may block, be full or be gone: none of that reaches who tells them.

A thread of its own writes them. It is a daemon and writes past Python's buffers, so that a write which never returns
holds neither the event loop nor the end of the process. What has no room is dropped and counted.
"""

import atexit
import os
import select
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

#: Lines and bytes that may wait, those under way among them: ten seconds of a worker at its fullest.
MOST_LINES: Final = 20_000
MOST_BYTES: Final = 8 << 20
#: Lines wait this long for others, so that one write takes many: each time, the thread takes the interpreter from who
#: sends. Seconds; what it costs is the lines of that moment when the process is killed.
_GATHER_S: Final = 0.05
#: After a failed write nothing is tried for so long. Seconds.
_PAUSE_S: Final = 1.0
#: How long a full descriptor that does not block is waited for before it is tried again. Milliseconds.
_POLL_MS: Final = 100


class Lines:
    """Takes lines at any time from any thread, in their order, and never blocks or raises."""

    def __init__(self, target: int, dropped: Callable[[int], None], notice: Callable[[int], bytes]) -> None:
        """Write to the descriptor *target*.

        Args:
            target: Stays open; nobody else should write through a buffer of Python's.
            dropped: Hears at once how many lines were dropped.
            notice: The line that says how many before it were dropped, written when writing works again.
        """
        self._target = target
        self._dropped = dropped
        self._notice = notice
        #: Held for moments only. Reentrant, because the garbage collector may run meanwhile, and what it finds may be
        #: told: then this thread comes again. So nothing of others is called while it is held.
        self._lock = threading.Condition(threading.RLock())
        self._waiting: list[bytes] = []
        #: Lines and bytes that wait or are under way.
        self._count = self._size = 0
        #: Dropped and not yet told.
        self._untold = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_started = False
        #: Whether the last write ended within a line.
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Take *line*, which ends with its line end."""
        with self._lock:
            has_room = self._count < MOST_LINES and self._size + len(line) <= MOST_BYTES and not self._closing.is_set()
            if has_room:
                is_first = not self._waiting
                self._waiting.append(line)
                self._count += 1
                self._size += len(line)
                if not self._is_started:
                    self._is_started = True
                    self._start()
                if is_first:
                    self._lock.notify()
            else:
                self._untold += 1
        if not has_room:
            self._dropped(1)

    def close(self, patience_s: float = 1.0) -> None:
        """Write what waits, for so long at the most; what comes afterwards is dropped."""
        self._closing.set()
        with self._lock:
            self._lock.notify()
        atexit.unregister(self.close)
        if self._thread is not None:
            self._thread.join(patience_s)

    def _start(self) -> None:
        """Begin with the first line, not before: a fork that comes earlier takes no thread along."""
        self._thread = threading.Thread(target=self._run, name="log lines", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting or self._closing.is_set())
            is_last = self._closing.wait(_GATHER_S)
            with self._lock:
                batch, self._waiting = self._waiting, []
                untold = self._untold
            lost, size = self._write_all(batch, untold), sum(map(len, batch))
            with self._lock:
                self._count -= len(batch)
                self._size -= size
                self._untold += lost or -untold
            if lost:
                self._dropped(lost)
                self._closing.wait(_PAUSE_S)
            if is_last:
                return

    def _write_all(self, batch: Sequence[bytes], untold: int) -> int:
        """Write *batch*, and how many are *untold*; returns how many lines of it could not be written."""
        before, after = b"\n" if self._is_torn else b"", self._notice(untold) if untold else b""
        whole = b"".join((before, *batch, after))
        written = self._written(whole)
        if written:
            self._is_torn = whole[written - 1 : written] != b"\n"
        return sum(end > written - len(before) for end in accumulate(map(len, batch)))

    def _written(self, whole: bytes) -> int:
        """How many bytes of *whole* could be written; less than all when it failed."""
        written, view = 0, memoryview(whole)
        while written < len(whole):
            try:
                written += os.write(self._target, view[written:])
            except BlockingIOError:  # somebody who shares the descriptor made it so
                poll = select.poll()
                poll.register(self._target, select.POLLOUT)
                poll.poll(_POLL_MS)
            except OSError:
                break
        return written
