"""A standard output that is closed, full or read by nobody is one sentence and exit code 1, whatever the command."""

import os
import socket
import subprocess
import sys

import pytest

SENTENCES = {
    ">&-": "it is closed",
    "> /dev/full": "No space left on device",
    "| true": "Broken pipe",
}
#: A table, JSON, a sentence, the parser's own words, and a sentence from within an event loop.
COMMANDS = ("codes", "codes --json", "config check", "--help", "sandbox --port 0")


def ran(command: str, redirected: str) -> tuple[int, str]:
    one = subprocess.run(
        ["bash", "-c", f'"$0" -m worker {command} {redirected}; exit ${{PIPESTATUS[0]}}', sys.executable],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    return one.returncode, one.stderr


@pytest.mark.parametrize("redirected", SENTENCES)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_shown_is_one_sentence(command: str, redirected: str) -> None:
    assert ran(command, redirected) == (
        1,
        f"sms-worker: standard output cannot be written: {SENTENCES[redirected]}\n",
    )


@pytest.mark.parametrize("redirected", ["2>&-", "2> /dev/full", "2>&1 > /dev/null | true", ">&- 2>&- <&-"])
def test_a_standard_error_that_takes_nothing_does_not_change_the_exit_code(redirected: str) -> None:
    assert ran("codes NOPE", redirected) == (1, "")
    assert ran("codes --no-such-option", redirected) == (2, "")


@pytest.mark.parametrize("redirected", [">&-", "<&-", "> /dev/null"])
def test_a_connection_never_gets_the_number_of_a_closed_stream(redirected: str) -> None:
    """Else what a command says would travel to RabbitMQ, and what RabbitMQ says would be read as an answer."""
    code, told = ran("--set broker.url=amqp://127.0.0.1:1 dlq groups", redirected)

    assert (code, told.count("\n")) == (3, 1)
    assert "RabbitMQ at 127.0.0.1:1" in told


def test_a_worker_that_fails_ends_though_nobody_reads_why() -> None:
    out, into = os.pipe()
    os.set_blocking(into, False)
    try:
        while True:
            os.write(into, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(into, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-m", "worker", "--set", f"http.port={port}", "run"],
            stdout=into,
            stderr=into,
            check=False,
            timeout=60,
        )
    os.close(into)
    os.close(out)

    assert ran.returncode == 1
