"""A command that runs beside the stack gets every signal once, and its exit code is passed on.

Both addresses are given, so that no server is started.
"""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from deploy.local import given

ROOT = Path(__file__).parents[2]
GIVEN = {given.AMQP: "amqp://broker/", given.REDIS: "redis://cache"}
#: Counts SIGINT; leaves with SIGTERM and says how many there were.
COUNTER = """\
import signal
seen = []
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
signal.signal(signal.SIGINT, lambda *_: seen.append("INT"))
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
print(len(seen), flush=True)
"""


def argv(*command: str) -> list[str]:
    return [sys.executable, "-m", "deploy.local", "run", "--", *command]


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 128 + signal.SIGKILL), ("true", 0)])
def test_the_exit_code_is_the_commands(script: str, code: int) -> None:
    assert subprocess.run(argv("sh", "-c", script), cwd=ROOT, env=os.environ | GIVEN, check=False).returncode == code


def test_the_command_gets_the_addresses() -> None:
    script = "echo $SMS_WORKER__BROKER__URL $SMS_WORKER__REDIS__URL"
    done = subprocess.run(
        argv("sh", "-c", script), cwd=ROOT, env=os.environ | GIVEN, check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["amqp://broker/", "redis://cache"]


def test_a_signal_that_another_program_sends_reaches_the_command_once() -> None:
    command = argv(sys.executable, "-c", COUNTER)
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | GIVEN, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
        runner.send_signal(signal.SIGINT)
        runner.send_signal(signal.SIGTERM)

        assert runner.stdout.readline() == "1\n"
    assert runner.returncode == 0


def test_ctrl_c_is_not_forwarded() -> None:
    """The terminal gives Ctrl-C to runner and command alike: forwarding it would make it two.

    This command has left the terminal's process group, so that it would only get what is forwarded.
    """
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "r+b", buffering=0) as terminal,
        os.fdopen(theirs, "r+b", buffering=0) as end,
        subprocess.Popen(
            argv(sys.executable, "-c", f"import os; os.setpgrp()\n{COUNTER}"),
            cwd=ROOT,
            env=os.environ | GIVEN,
            stdin=end,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        ) as runner,
    ):
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
        terminal.write(b"\x03")
        assert terminal.read(2) == b"^C"  # the terminal has sent the signal when it shows this
        runner.send_signal(signal.SIGTERM)

        assert runner.stdout.readline() == "0\n"
    assert runner.returncode == 0
