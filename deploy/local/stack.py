"""One RabbitMQ and one Redis, and a directory for them that nobody else has."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from deploy.local import given, install, reaper
from deploy.local.error import StackError
from deploy.local.given import GivenRabbitMQ, GivenRedis
from deploy.local.ports import Ports
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.redis import Redis

#: Where stacks keep their state; ``make clean`` removes it.
STATE: Final = Path(__file__).parents[2] / ".stack"


class Stack:
    """Both servers, running from entering to leaving; afterwards there is no trace of them.

    Servers whose addresses are in the environment (`given`) are used as they are. Any number of stacks run side by
    side.
    """

    rabbitmq: RabbitMQ | GivenRabbitMQ
    redis: Redis | GivenRedis
    #: The environment for programs that are to end with the stack: it names the stack to the reaper.
    environment: dict[str, str]

    def __init__(self, state: Path = STATE) -> None:
        """Nothing runs yet; *state* will hold the stack's directory."""
        self._state = state
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Start what is not given.

        Raises:
            StackError: A server is not installed, or does not start.
        """
        with ExitStack() as undo:
            directory = undo.enter_context(_directory(self._state))
            ports = undo.enter_context(Ports())
            self.environment = os.environ | {reaper.MARK: str(directory)}
            self.rabbitmq = given.rabbitmq(os.environ) or self._rabbitmq(directory, ports)
            self.redis = given.redis(os.environ) or self._redis(directory, ports)
            self._start(undo)
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _rabbitmq(self, directory: Path, ports: Ports) -> RabbitMQ:
        binary = _installed(install.find_rabbitmq(), "RabbitMQ")
        return RabbitMQ(binary, directory / "rabbitmq", ports, self.environment)

    def _redis(self, directory: Path, ports: Ports) -> Redis:
        binary = _installed(install.find_redis(), "Redis")
        return Redis(binary, directory / "redis", ports.take(), self.environment)

    def _start(self, undo: ExitStack) -> None:
        for server in (self.rabbitmq, self.redis):
            if isinstance(server, RabbitMQ | Redis):
                undo.callback(server.close)
                server.spawn()  # both start at the same time
        self.redis.start()
        self.rabbitmq.start()


def _installed(binary: Path | None, name: str) -> Path:
    if binary is None:
        raise StackError(f"{name} is not installed: run `python -m deploy.local install`")
    return binary


@contextmanager
def _directory(state: Path) -> Iterator[Path]:
    """A new directory under *state*; with it goes all that belongs to it, even when we are killed."""
    state.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(dir=state)).resolve()
    with (directory / reaper.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Not marked as belonging to a stack around this one: that one's reaper must not end ours before its work.
        unmarked = {key: value for key, value in os.environ.items() if key != reaper.MARK}
        argv = [sys.executable, "-ISs", str(reaper.__file__), str(directory)]
        # Leaving closes its input and waits for it.
        with subprocess.Popen(argv, env=unmarked, stdin=subprocess.PIPE, start_new_session=True):
            yield directory


def clean(state: Path = STATE) -> None:
    """End what dead runs left behind and remove their directories; stacks that live are left alone."""
    for directory in sorted(state.glob("*/")):
        with (directory / reaper.LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{directory.name} is in use and stays")
            else:
                reaper.reap(directory.resolve())
    with suppress(OSError):  # not there, or in use
        state.rmdir()
