"""``sms-worker`` in this process: a command line in, exit code and both outputs out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from typing import Any

import orjson

from worker.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [orjson.loads(line) for line in self.out.splitlines()]


def sms_worker(*arguments: str, answer: str = "") -> Ran:
    """Run the command line as a shell would; *answer* is its standard input."""
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["sms-worker", *arguments], TextIOWrapper(BytesIO(answer.encode()))
    with _captured() as (out, err):
        try:
            main()
            code: Any = None
        except SystemExit as leaving:
            code = leaving.code
        finally:
            sys.argv, sys.stdin = before
    return Ran(int(code or 0), out.getvalue().decode(), err.getvalue().decode())


@contextmanager
def _captured() -> Iterator[tuple[BytesIO, BytesIO]]:
    before, streams = (sys.stdout, sys.stderr), (BytesIO(), BytesIO())
    sys.stdout, sys.stderr = (TextIOWrapper(stream, "utf-8", write_through=True) for stream in streams)
    try:
        yield streams
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = before
