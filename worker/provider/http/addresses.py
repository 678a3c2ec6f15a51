"""Where the provider's name leads, looked up once for all connections that are made within a while."""

import asyncio
import socket
from time import monotonic
from typing import Any, Final, TypeAlias

#: Seconds that an answer is believed: connections are made in bursts, and addresses change.
_BELIEVED_S: Final = 60.0

#: As `socket.getaddrinfo` gives it.
AddressInfo: TypeAlias = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class Addresses:
    """The addresses of one host."""

    def __init__(self, host: str, port: int) -> None:
        """Look *host* up when it is first needed."""
        self._host, self._port = host, port
        self._found: list[AddressInfo] = []
        self._believed_until = 0.0
        self._asked: asyncio.Task[None] | None = None

    async def get(self) -> list[AddressInfo]:
        """All addresses, each time another one first.

        Whoever gives up waiting leaves the question to the others, and to those who come: it holds a thread.

        Raises:
            OSError: there are none.
        """
        if not self._found or self._believed_until <= monotonic():
            if self._asked is None:
                self._asked = asyncio.create_task(self._ask(), name="name lookup")
                self._asked.add_done_callback(self._answered)
            await asyncio.shield(self._asked)
        self._found.append(self._found.pop(0))
        return [self._found[-1], *self._found[:-1]]

    def forget(self) -> None:
        """No connection was made: perhaps the provider has moved."""
        self._believed_until = 0.0

    def close(self) -> None:
        """Ask no more."""
        if self._asked is not None:
            self._asked.cancel()

    async def _ask(self) -> None:
        found = await asyncio.get_running_loop().getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        if not found:
            raise OSError("no address")
        self._found, self._believed_until = list(found), monotonic() + _BELIEVED_S

    def _answered(self, asked: "asyncio.Task[None]") -> None:
        self._asked = None
        if not asked.cancelled():
            asked.exception()  # so that nobody complains when all who waited have given up
