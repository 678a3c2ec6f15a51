"""A private Redis that keeps its data across a kill."""

import socket
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Final

from deploy.local.error import StackError
from deploy.local.server import Server

#: Databases, for tests that take one each.
DATABASES: Final = 256
#: Seconds that a start, a stop or an answer may take on a busy machine.
_PATIENCE: Final = 30

#: ``appendonly``: what was answered is in the kernel's hands, so a killed server has it again after the restart, as the
#: production settings promise. ``save ""``: the log alone is enough, snapshots would only cost time.
_CONFIGURATION: Final = """\
bind 127.0.0.1
port {port}
dir {directory}
databases {databases}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class Redis:
    """The server, on a port that stays the same over restarts."""

    def __init__(self, binary: Path, directory: Path, port: int, environment: Mapping[str, str]) -> None:
        """Write the configuration into *directory*; nothing runs yet."""
        self._port = port
        directory.mkdir(parents=True)
        configuration = directory / "redis.conf"
        configuration.write_text(
            _CONFIGURATION.format(port=port, directory=f'"{directory}"', databases=DATABASES), encoding="utf-8"
        )
        self._databases = cycle(range(1, DATABASES))
        self._server = Server("redis", [str(binary), str(configuration)], environment, directory)

    @property
    def url(self) -> str:
        """Its address, without a database."""
        return f"redis://127.0.0.1:{self._port}"

    def spawn(self) -> None:
        """Start it without waiting until it answers."""
        self._server.spawn()

    def start(self) -> None:
        """Start it and wait until it has read its data; nothing happens when it runs."""
        self.spawn()
        self._server.wait_until(self._answers, _PATIENCE)

    def stop(self) -> None:
        """Let it end in good order."""
        self._server.terminate(_PATIENCE)

    def kill(self) -> None:
        """SIGKILL it."""
        self._server.kill()

    def close(self) -> None:
        """Kill it, for good."""
        self._server.kill()

    def restart(self) -> None:
        """Stop in good order, then start."""
        self.stop()
        self.start()

    def add_database(self) -> str:
        """The address of an empty database; it is another one each time until all have had their turn."""
        database = next(self._databases)
        self.command("FLUSHDB", database=database)
        return f"{self.url}/{database}"

    def wipe(self) -> None:
        """Empty all databases, as a failed disk would. The server must run."""
        self.command("FLUSHALL")

    def command(self, *words: str, database: int = 0) -> str:
        """The first line of the answer to a command, without its type sign.

        Raises:
            StackError: Redis refused.
            OSError: Redis is not there.
        """
        request = _encoded("SELECT", str(database)) + _encoded(*words)
        with socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                selected, answer = answers.readline().decode(), answers.readline().decode()
        if not selected.startswith("+") or not answer or answer.startswith("-"):
            raise StackError(f"Redis refused {words[0]}: {answer or selected}")
        return answer[1:].rstrip()

    def _answers(self) -> bool:
        try:
            return self.command("PING") == "PONG"
        except (OSError, StackError):  # not there yet, or still reading its data
            return False


def _encoded(*words: str) -> bytes:
    """*words* as an array of bulk strings (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    bulk = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words)
    return b"*%d\r\n%b" % (len(words), bulk)
