"""Where requests are read from: a file, or standard input, whose wait can be ended."""

import io
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from worker.cli.requests.encoding import SAMPLE
from worker.errors import UsageError

#: How standard input is named on the command line.
STANDARD_INPUT: Final = Path("-")
#: So many bytes tell any byte order mark.
_MARK: Final = 4
_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class Source:
    """Bytes that are open for reading, of which the first were looked at."""

    def __init__(self, stream: io.RawIOBase | BinaryIO, stop: Callable[[], None], *, is_file: bool) -> None:
        """*stop* ends a wait for *stream* in another thread."""
        self._stream = stream
        #: Ends a wait for it, from any thread.
        self.stop = stop
        #: Whether it can be read again from its beginning.
        self.is_file = is_file
        #: Its beginning: all that there is, or as much as tells the encoding.
        self.head = _head(stream)

    def rewound(self) -> io.BufferedReader:
        """All of it, from its beginning; of what is no file only once."""
        if self.is_file:
            self._stream.seek(len(self.head))
        return io.BufferedReader(_Kept(self.head, self._stream), SAMPLE)

    def surveyed(self) -> io.BufferedReader:
        """What can be looked at beforehand: all of a file, and whole lines of anything else."""
        if self.is_file:
            return self.rewound()
        return io.BufferedReader(_Kept(self.head[: self.head.rfind(b"\n") + 1], io.BytesIO()))


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open *path*, or standard input.

    Raises:
        UsageError: it is neither a file nor standard input.
        OSError: it cannot be opened.
    """
    if path == STANDARD_INPUT:
        with _standard_input() as source:
            yield source
        return
    with _file(path) as stream:
        yield Source(stream, lambda: None, is_file=True)


def _file(path: Path) -> io.FileIO:
    """Open a file; a named pipe is told, where opening it would wait for its writer."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        return io.FileIO(number)
    os.close(number)
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "not a file")
    raise UsageError(f"{path}: is {kind}; publish a file, or standard input: sms-worker publish - < {path}")


@contextmanager
def _standard_input() -> Iterator[Source]:
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    try:
        number = sys.stdin.fileno()
    except OSError:  # not one of the operating system's
        yield Source(sys.stdin.buffer, lambda: None, is_file=False)
        return
    with _Stream(number) as stream:
        yield Source(stream, stream.stop, is_file=False)


class _Stream(io.RawIOBase):
    """A stream that can be told to stop waiting, which then seems to have ended."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._ear, self._mouth = os.pipe()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]  # any buffer will do
        polled = select.poll()
        polled.register(self._number, select.POLLIN)
        polled.register(self._ear, select.POLLIN)
        if any(number == self._ear for number, _ in polled.poll()):
            return 0
        given = os.read(self._number, len(buffer))
        buffer[: len(given)] = given
        return len(given)

    def stop(self) -> None:
        """End a wait, and every later one; called again, or when it is closed, it does nothing."""
        if not self.closed:
            os.write(self._mouth, b"!")

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._ear)
            os.close(self._mouth)


class _Kept(io.RawIOBase):
    """What was read already, and then the rest."""

    def __init__(self, kept: bytes, rest: io.RawIOBase | BinaryIO) -> None:
        self._kept = kept
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]  # any buffer will do
        given = self._kept[: len(buffer)]
        self._kept = self._kept[len(given) :]
        if not given:
            given = _some(self._rest, len(buffer))
        buffer[: len(given)] = given
        return len(given)


def _head(stream: io.RawIOBase | BinaryIO) -> bytes:
    """The first bytes, without a wait for more of them than a byte order mark has."""
    head = b""
    while len(head) < _MARK and (more := _some(stream, SAMPLE)):
        head += more
    return head


def _some(stream: io.RawIOBase | BinaryIO, most: int) -> bytes:
    return (stream.read1(most) if isinstance(stream, io.BufferedIOBase) else stream.read(most)) or b""
