"""Standard output that may be closed, full or read by nobody: then a command says so once and leaves with 1."""

import os
import select
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any, Final

from worker.errors import WorkerError

_STANDARD: Final = range(3)
_CLOSED: Final = "it is closed"
#: How long a worker that ends tries to say why. Seconds.
_PATIENCE_S: Final = 1.0


class OutputLostError(WorkerError):
    """Standard output does not take what it was asked to show."""


class _Output(FileIO):
    """A standard descriptor: what comes after its first failure is lost.

    Lost and not raised, because the interpreter writes once more what is buffered at its end, and would spoil the exit
    code.
    """

    def __init__(self, descriptor: int, fault: str | None, *, is_told: bool) -> None:
        """*fault* is what is wrong from the beginning; *is_told* raises the first failure as ours."""
        super().__init__(descriptor, "wb", closefd=False)
        self._fault = fault
        self._is_lost = not is_told and fault is not None
        self._is_told = is_told
        #: How long a write is waited for; None is for ever. Seconds.
        self.patience_s: float | None = None

    def fileno(self) -> int:
        """Its number, which none has when it is closed: who writes to it directly must fail too."""
        return -1 if self._fault is _CLOSED else super().fileno()

    def write(self, data: Any, /) -> int:
        """Write *data*; raises OutputLostError the first time that it fails."""
        if self._is_lost:
            return len(data)
        if self._fault is None:
            try:
                if self.patience_s is None or self._has_room():
                    return super().write(data)
                self._fault = "nobody reads it"
            except OSError as error:
                self._fault = error.strerror or str(error)
        self._is_lost = True
        if self._is_told:
            raise OutputLostError(f"standard output cannot be written: {self._fault}")
        return len(data)

    def _has_room(self) -> bool:
        """Whether what a sentence needs can be written in time; a pipe that says so takes at least 4 KiB."""
        poll = select.poll()
        poll.register(super().fileno(), select.POLLOUT)
        return bool(poll.poll(round((self.patience_s or 0) * 1000)))


def hurry() -> None:
    """Let no reader of standard error hold the end of the process: for a worker, whose supervisor waits."""
    raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if isinstance(raw, _Output):
        raw.patience_s = _PATIENCE_S


def guard() -> None:
    """Let the standard streams be what the rest of the program takes them for.

    A descriptor that the caller closed is opened on nothing: else the next file or connection would get its number.
    Only what is really the process' own is guarded, not what a test put in its place.
    """
    closed = [number for number in _STANDARD if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115 - as long as the process
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, 1, _CLOSED if 1 in closed else None)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, 2, _CLOSED if 2 in closed else None)  # noqa: PLR2004 - its number


def _guarded(stream: Any, number: int, fault: str | None) -> TextIOWrapper:
    encoding, errors = (stream.encoding, stream.errors) if stream else ("utf-8", "backslashreplace")
    output = BufferedWriter(_Output(number, fault, is_told=number == 1))
    return TextIOWrapper(output, encoding, errors, line_buffering=number != 1 or os.isatty(number))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
