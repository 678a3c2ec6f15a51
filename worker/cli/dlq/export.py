"""``dlq export``: letters for another program."""

import os
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from worker.broker.dead_letters import MOST, DeadLetters
from worker.cli.dlq.options import ClassArgument, LimitOption
from worker.cli.dlq.session import tell_unseen, with_letters
from worker.cli.output import counted, dumped, say
from worker.errors import UsageError
from worker.operator.letters import detail


def export(
    context: typer.Context,
    error_class: ClassArgument,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file, for you only; standard output if not given.")
    ] = None,
    limit: LimitOption = MOST,
) -> None:
    """Write letters as JSON lines, bodies included: they hold numbers and texts. The letters stay.

    For example:

        sms-worker dlq export malformed --output malformed.jsonl
    """

    async def write(letters: DeadLetters) -> tuple[int, int]:
        depth, written = (await letters.groups())[error_class].messages, 0
        with _file(output) as file:
            async with aclosing(letters.export(error_class, limit)) as found:
                async for letter in found:
                    file.write(dumped(detail(letter, body=True)))
                    written += 1
        return depth, written

    depth, written = with_letters(context, write)
    if output is not None:
        say(f"exported {counted(written, 'letter')} to {output}")
    tell_unseen(written, depth)


@contextmanager
def _file(path: Path | None) -> Iterator[BinaryIO]:
    """The file at *path*, which is gone again when the block fails: half an export must not look like a whole one."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    is_whole = False
    file = _new(path)
    try:
        with file:
            yield file
        is_whole = True
    finally:
        if not is_whole:
            path.unlink(missing_ok=True)


def _new(path: Path) -> BinaryIO:
    """For its owner only, because of the numbers in it; never over an older one, whose letters may be gone."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise UsageError(f"--output {path}: there is such a file already") from None
    except OSError as error:
        raise UsageError(f"--output {path}: {error.strerror}") from error
