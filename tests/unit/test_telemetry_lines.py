"""Whatever standard output does, nobody who logs waits, fails or dies for it."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import orjson
import pytest

from worker.telemetry import lines as module
from worker.telemetry.lines import MOST_BYTES, MOST_LINES, Lines

#: Seconds that something takes on a machine that is very busy.
PATIENCE_S = 30
#: Run with standard output to be blocked, gone or full: a worker's log, and its end.
PROGRAM = """
from worker.core.outcome.catalog import catalog
from worker.settings.sections import LogSettings, SentrySettings
from worker.telemetry.open import open_telemetry
import sys, time
observed = open_telemetry(LogSettings(), SentrySettings(), catalog(), "test")
for _ in range(21_000):
    observed.events.emit("worker.started", version="1", lanes="otp", pid=1)
if "forgets" not in sys.argv:
    observed.close()
print(observed.metrics.exposition()[0].decode(), file=sys.stderr)
"""


class Written(Lines):
    """Counts what was dropped."""

    def __init__(self, target: int) -> None:
        self.dropped = 0
        super().__init__(target, self._add, lambda count: b"%d gone\n" % count)

    def _add(self, count: int) -> None:
        self.dropped += count

    def wait_idle(self) -> None:
        until(lambda: not self._count)


def until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that holds 4 KiB."""
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    yield out, into
    for end in (out, into):
        try:
            os.close(end)
        except OSError:
            continue


def read_all(out: int) -> list[bytes]:
    with os.fdopen(os.dup(out), "rb") as file:
        return file.read().splitlines()


def test_a_reader_who_stops_holds_nobody_and_hears_later_what_is_missing(pipe: tuple[int, int]) -> None:
    out, into = pipe
    lines, many = Written(into), MOST_LINES + 1000
    for number in range(many):
        lines.write(b"%d\n" % number)
    assert lines.dropped >= 1000

    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.extend(read_all(out)))
    reader.start()
    lines.wait_idle()
    lines.write(b"after\n")
    lines.close(PATIENCE_S)
    os.close(into)
    reader.join(PATIENCE_S)

    kept = many - lines.dropped
    assert got[:kept] == [b"%d" % number for number in range(kept)]
    assert got[-1] == b"after"
    notices = got[kept:-1]  # two when the first lines were taken while others were dropped
    assert all(notice.endswith(b" gone") for notice in notices)
    assert sum(int(notice.removesuffix(b" gone")) for notice in notices) == lines.dropped


def test_what_waits_is_bounded_in_bytes_too(pipe: tuple[int, int]) -> None:
    lines, line = Written(pipe[1]), b"x" * 99_999 + b"\n"
    for _ in range(2 * MOST_BYTES // len(line)):
        lines.write(line)

    assert lines.dropped >= MOST_BYTES // len(line)
    assert lines._size <= MOST_BYTES


def test_a_reader_who_has_gone_is_counted_and_never_raised(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    out, into = pipe
    lines = Written(into)
    os.close(out)
    for count in (1, 2):
        lines.write(b"one\n")
        until(lambda count=count: lines.dropped == count)
    lines.close(PATIENCE_S)
    lines.write(b"too late\n")

    assert lines.dropped == 3


def test_a_line_that_was_cut_ends_before_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    written = bytearray()
    room = iter((6, -1))  # the disk is full in the middle of the second line; then there is room

    write_for_real, ours = os.write, -7

    def write(target: int, rest: memoryview) -> int:
        if target != ours:  # a thread of an earlier test, or pytest
            return write_for_real(target, rest)
        take = next(room, len(rest))
        if take < 0:
            raise OSError(28, "No space left on device")
        written.extend(rest[:take])
        return min(take, len(rest))

    monkeypatch.setattr(os, "write", write)
    lines = Written(ours)
    lines.write(b"first\n")
    lines.wait_idle()
    room = iter((3, -1))
    lines.write(b"second\n")
    until(lambda: lines.dropped == 1)
    lines.write(b"third\n")
    lines.wait_idle()
    lines.close(PATIENCE_S)

    assert bytes(written) == b"first\nsec\nthird\n1 gone\n"


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    out, into = pipe
    os.set_blocking(into, False)
    lines, text = Written(into), b"y" * 999 + b"\n"
    got: list[bytes] = []
    for _ in range(50):
        lines.write(text)
    reader = threading.Thread(target=lambda: got.extend(read_all(out)))
    reader.start()
    lines.wait_idle()
    os.close(into)
    reader.join(PATIENCE_S)

    assert (len(got), lines.dropped) == (50, 0)


@pytest.mark.parametrize("words", [(), ("forgets",)])
def test_a_process_ends_as_it_should_though_nobody_reads(pipe: tuple[int, int], words: tuple[str, ...]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=pipe[1],
        stderr=subprocess.PIPE,
        check=False,
        timeout=2 * PATIENCE_S,
    )

    assert ran.returncode == 0, ran.stderr
    assert b"\nsms_log_lines_dropped_total 0.0" not in ran.stderr


@pytest.mark.parametrize("target", ["gone", "/dev/full", "closed"])
def test_a_process_ends_as_it_should_without_a_standard_output(target: str) -> None:
    redirected = {"gone": "| true", "/dev/full": "> /dev/full", "closed": ">&-"}[target]
    ran = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {redirected}; exit ${{PIPESTATUS[0]}}', sys.executable, PROGRAM],
        stderr=subprocess.PIPE,
        check=False,
        timeout=2 * PATIENCE_S,
    )

    assert ran.returncode == 0, ran.stderr
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


def test_everything_is_written_when_somebody_reads() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, timeout=2 * PATIENCE_S)
    told = [orjson.loads(line) for line in ran.stdout.splitlines()]

    dropped = [line for line in ran.stderr.decode().splitlines() if line.startswith("sms_log_lines_dropped_total ")]
    missing = sum(line["lines"] for line in told if line["event"] == "log.dropped")
    assert len([line for line in told if line["event"] == "worker.started"]) + missing == 21_000
    assert dropped == [f"sms_log_lines_dropped_total {float(missing)}"]


class Ringing(list[bytes]):
    """While a line is taken, something else is told in the same thread, as the garbage collector has it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring: Callable[[], None] | None = ring

    def append(self, line: bytes) -> None:
        super().append(line)
        ring, self._ring = self._ring, None
        if ring is not None:
            ring()


def test_what_is_told_while_a_line_is_taken_is_written_too(pipe: tuple[int, int]) -> None:
    out, into = pipe
    lines = Written(into)
    lines._waiting = Ringing(lambda: lines.write(b"inner\n"))
    telling = threading.Thread(target=lines.write, args=(b"outer\n",), daemon=True)
    telling.start()
    telling.join(PATIENCE_S)

    assert not telling.is_alive(), "it waits for itself"
    lines.wait_idle()
    assert os.read(out, 4096) == b"outer\ninner\n"
    assert (lines._count, lines._size) == (0, 0)
    lines.close()


def test_whoever_hears_of_a_dropped_line_may_tell_more(pipe: tuple[int, int]) -> None:
    """It is told outside of the lock: whoever hears it has locks of its own."""
    held: list[bool] = []
    lines = Lines(pipe[1], lambda _: held.append(lines._lock._is_owned()), lambda _: b"")  # type: ignore[attr-defined]
    lines.close()
    lines.write(b"late\n")

    assert held == [False]
