"""A proxy behind which the worker does not hear what RabbitMQ answers to its publishes."""

import asyncio

from tests.tcp_proxy import TcpProxy

#: The name under which the worker opens its publishing connection; it is in the first frame that it sends.
_PUBLISHES = b"sms-worker publish"
_CHUNK = 65_536


class DeafProxy(TcpProxy):
    """Everything passes, but the broker's answers on the publishing connection wait while it is deaf."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._hears = asyncio.Event()
        self._hears.set()
        self._publishing: asyncio.BaseTransport | None = None

    def deafen(self) -> None:
        """Keep the answers back."""
        assert self._publishing is not None, "no connection looks like the publishing one"
        self._hears.clear()

    def hear(self) -> None:
        """Let them pass, those that were kept back first."""
        self._hears.set()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(_CHUNK):
                if _PUBLISHES in chunk:
                    self._publishing = source._transport  # type: ignore[attr-defined]  # tells the two ways of one connection
                if sink.transport is self._publishing:
                    await self._hears.wait()
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(sink)
            sink.close()
