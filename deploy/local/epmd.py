"""Erlang's port mapper: every Erlang node wants one, and by default all of a machine share the one that outlives them.

Here each RabbitMQ brings its own, in the foreground and on loopback, so that it ends with the stack and knows of no
other node.
"""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.error import StackError
from deploy.local.server import Server

_PATIENCE: Final = 30


def found_beside(erl: Path) -> Path | None:
    """The epmd of the Erlang installation that *erl* belongs to, for installations that keep it off the PATH."""
    return next(iter(sorted(erl.resolve().parents[1].glob("erts-*/bin/epmd"))), None)


def find() -> Path:
    """The epmd of this machine.

    Raises:
        StackError: There is none.
    """
    erl = shutil.which("erl")
    on_path = shutil.which("epmd")
    epmd = Path(on_path) if on_path else erl and found_beside(Path(erl))
    if not epmd:
        raise StackError("RabbitMQ is installed, but Erlang's epmd is not: install the package erlang-base")
    return epmd


class Epmd:
    """One port mapper on *port*."""

    def __init__(self, port: int, directory: Path, environment: Mapping[str, str]) -> None:
        """Nothing runs yet."""
        self._port = port
        self._server = Server(
            "epmd", [str(find()), "-port", str(port), "-address", "127.0.0.1"], environment, directory
        )

    def start(self) -> None:
        """Start it and wait until it listens: a node that finds none would start a daemon that outlives it."""
        self._server.spawn()
        self._server.wait_until(self._answers, _PATIENCE)

    def stop(self) -> None:
        """End it; it keeps nothing."""
        self._server.kill()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True
