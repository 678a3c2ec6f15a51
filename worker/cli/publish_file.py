"""Publishes every request of a file or of standard input, and says what became of each line."""

from array import array
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.cli import exit_codes
from worker.cli.interrupt import complete
from worker.cli.output import complain, counted, errors, say
from worker.cli.requests import STANDARD_INPUT, Format, Line, Source, count, read
from worker.cli.sending import Sending
from worker.client import Publisher
from worker.errors import UsageError, WorkerError

#: Lines at fault, and lines with a warning, that are told one by one; a file of another format has a fault in each.
_MOST_TOLD: Final = 50
#: Lines, or ranges of them, that are named in one sentence.
_MOST_NAMED: Final = 200
_COLUMNS: Final = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def publish_file(
    publisher: AbstractAsyncContextManager[Publisher], file: Path, written: Format | None, skip: int
) -> None:
    """Publish the requests of *file* from position *skip* on; *written* says how they are written.

    Raises:
        UsageError: the file cannot be read, or has not so many requests.
        WorkerError: RabbitMQ cannot be reached; says with which position to go on.
    """
    is_file = file != STANDARD_INPUT
    total = count(file, written) if is_file else None
    if total is not None and skip > total:
        raise UsageError(f"--skip {skip}: {file} has only {counted(total, 'request')}")
    notes, sources = _Notes(skip), list[Source]()
    sending = Sending(notes.taken(read(file, written, opening=sources.append)), skip, notes.fault)

    def stop() -> None:
        for source in sources:
            source.stop()

    async def send() -> None:
        left = None if total is None else total - skip
        async with publisher as connected:
            with Progress(*_COLUMNS, console=errors, transient=True, disable=not errors.is_terminal) as progress:
                bar = progress.add_task("publishing", total=left)
                await sending.run(connected, lambda: progress.advance(bar), None if is_file else stop)

    try:
        complete(send())
    except WorkerError as error:
        raise type(error)(f"{error}; {_where(sending)}") from error
    except KeyboardInterrupt:
        complain(f"interrupted; {_where(sending)}")
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    if skip > notes.read:
        raise UsageError(f"--skip {skip}: standard input had only {counted(notes.read, 'request')}")
    _conclude(sending, notes, None if total is None else total - skip)


def _conclude(sending: Sending, notes: "_Notes", total: int | None) -> None:
    notes.conclude()
    if total is None:
        say(f"published {counted(sending.confirmed, 'request')}")
    else:
        say(f"published {sending.confirmed} of {counted(total, 'request')}")
    if sending.faults:
        complain(f"{counted(sending.faults, 'line')} at fault")
        raise typer.Exit(exit_codes.FAILED)


def _where(sending: Sending) -> str:
    """How far *sending* came, and how to go on."""
    if not sending.ended and not sending.repeated:
        return "nothing was published"
    again = f", after which up to {sending.repeated} may be published already" if sending.repeated else ""
    return f"{counted(sending.confirmed, 'request')} confirmed; go on with --skip {sending.resume_at}{again}"


class _Notes:
    """What is told of the lines: the first faults and warnings in full, of the others only where they are."""

    def __init__(self, skip: int) -> None:
        self._skip = skip
        #: Requests that were read, those that were left out among them.
        self.read = 0
        self._told = 0
        self._faults, self._spans, self._warned = array("Q"), array("Q"), array("Q")

    def taken(self, lines: Iterator[Line]) -> Iterator[Line]:
        """The *lines*, on their way to be published."""
        for line in lines:
            self.read += 1
            if self.read > self._skip and line.body is not None:
                if line.span > 1:
                    self._spans.append(line.number)
                if line.warning:
                    self._warn(line)
            yield line

    def fault(self, line: Line) -> None:
        """Tell of a line at fault."""
        self._told += 1
        if self._told <= _MOST_TOLD:
            place = f"line {line.number}" if line.span == 1 else f"lines {line.number}-{line.number + line.span - 1}"
            complain(f"{place}: {line.fault}")
        else:
            self._faults.extend(range(line.number, line.number + line.span))

    def conclude(self) -> None:
        """Name the lines of which nothing was told yet."""
        if self._faults:
            complain(f"lines at fault as well: {_named(self._faults)}")
        if self._warned:
            complain(f"lines that are the same request as one before: {_named(self._warned)}")
        if self._spans:
            complain(
                f"{counted(len(self._spans), 'request')} of more than one line, which may be a quote that is not "
                f"closed; they begin in lines: {_named(self._spans)}"
            )

    def _warn(self, line: Line) -> None:
        if len(self._warned) or self._told >= _MOST_TOLD:
            self._warned.append(line.number)
        else:
            self._told += 1
            complain(f"line {line.number}: {line.warning}")


def _named(numbers: "array[int]") -> str:
    """*numbers* as ranges, as many as can be read."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number <= ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:_MOST_NAMED]]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {counted(more, 'more range')}" if more else "")
