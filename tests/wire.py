"""A transport whose other end is the test: what was written stays to be looked at, what is said is said by hand."""

import asyncio
from types import SimpleNamespace
from typing import Any, Final

from worker.limiter.resp import Replies


class Wire(asyncio.WriteTransport):
    """As asyncio and uvloop do, it tells its protocol of the end in the next turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Final = Before()
        self._protocol: Any = self.before
        self._is_closing = False
        #: What was written, each as the words of its commands.
        self.writes: Final[list[list[list[bytes]]]] = []
        #: What writing raises.
        self.fails: Exception | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._is_closing

    def write(self, data: Any) -> None:
        if self.fails:
            raise self.fails
        self.writes.append(Replies().feed(bytes(data)))

    def close(self) -> None:
        self.break_off(None)

    def abort(self) -> None:
        self.break_off(None)

    # -- the other end ------------------------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Let the protocol receive *data*."""
        if not self._is_closing:
            self._protocol.data_received(data)

    def break_off(self, error: Exception | None) -> None:
        """End it; the protocol hears of that in the next turn."""
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(lambda: self._protocol.connection_lost(error))


class Before(asyncio.Protocol):
    """Whose transport it was."""

    def __init__(self) -> None:
        self.ends: list[Exception | None] = []

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


class Connection:
    """As much of a connection of redis-py as is needed to take it over."""

    def __init__(self, wire: Wire, *, has_said: bool = False) -> None:
        self._writer = SimpleNamespace(transport=wire)
        self._has_said = has_said
        self.is_closed = False

    async def can_read(self) -> bool:
        return self._has_said

    async def disconnect(self, *, nowait: bool = False) -> None:
        self.is_closed = True
        self._writer.transport.close()
