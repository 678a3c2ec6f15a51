"""Connections to one peer, kept for the next call. The last one used is used first, so that a surplus ages and goes."""

import asyncio
import ssl
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple

import aiohappyeyeballs

from worker.core.outcome.outcome import Fault
from worker.provider.http.addresses import Addresses
from worker.provider.http.answer import Answer, AnswerReader
from worker.provider.http.connection import Connection, Limits

#: Seconds after which the next address of the host is tried beside the one that has not answered yet.
_NEXT_ADDRESS_S: Final = 0.25


class Peer(NamedTuple):
    """Whom to call."""

    host: str
    port: int
    #: None for plain HTTP.
    tls: ssl.SSLContext | None


class Bounds(NamedTuple):
    """What a pool grants a call; seconds, and bytes."""

    connections: int
    connect_s: float
    read_s: float
    keepalive_s: float
    most_body: int
    #: Names of the headers that are read, in lower case.
    headers: frozenset[bytes]


class Pool:
    """Calls one peer. Needs a running event loop."""

    def __init__(self, peer: Peer, bounds: Bounds) -> None:
        """Call *peer* within *bounds*; no connection is made yet."""
        self._peer = peer
        self._bounds = bounds
        self._limits = Limits(bounds.read_s, bounds.keepalive_s)
        self._addresses = Addresses(peer.host, peer.port)
        # Who has a place has a connection or makes one; it is made only when none is idle, so there are never more.
        self._places = asyncio.Semaphore(bounds.connections)
        self._idle: list[Connection] = []
        self._alive: set[Connection] = set()
        self._is_closed = False

    async def exchange(self, request: bytes) -> Answer | Fault | None:
        """Write *request* on a connection and wait for the answer.

        Failures are values. None: the connection was closing when it was taken, and not one byte was written.
        """
        began, bounds = monotonic(), self._bounds
        try:
            if self._places.locked():
                async with asyncio.timeout(bounds.connect_s):
                    await self._places.acquire()
            else:
                await self._places.acquire()  # at once
        except TimeoutError:
            return Fault.NOT_REACHED
        connection = None
        try:
            connection = self._kept() or await self._made(began + bounds.connect_s - monotonic())
            if connection is None:
                return Fault.NOT_REACHED
            return await connection.exchange(request, began + bounds.connect_s + bounds.read_s)
        finally:
            self._places.release()
            if connection is not None and connection.is_usable:
                self._idle.append(connection)

    async def aclose(self) -> None:
        """Close every connection; a call in flight ends as cut, and later ones reach nobody."""
        self._is_closed = True
        self._addresses.close()
        self._idle.clear()
        alive = list(self._alive)
        for connection in alive:
            connection.abort()
        for connection in alive:
            await connection.closed.wait()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _made(self, patience_s: float) -> Connection | None:
        """A new connection; None when none can be made in time, whatever the reason: nothing of the call has left."""
        try:
            async with asyncio.timeout(patience_s):
                connection = await self._connect()
        except Exception:  # noqa: BLE001 - each says the same, and their texts name the host at most
            self._addresses.forget()
            return None
        if self._is_closed:
            connection.abort()
            return None
        return connection

    async def _connect(self) -> Connection:
        loop, peer = asyncio.get_running_loop(), self._peer
        if self._is_closed:
            raise ConnectionError("closed")
        addresses = await self._addresses.get()
        # It tries the families in turns, so that a network whose IPv6 leads nowhere costs a quarter of a second.
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1, loop=loop
        )
        connection = None
        try:
            _, connection = await loop.create_connection(
                self._protocol, sock=sock, ssl=peer.tls, server_hostname=peer.host if peer.tls else None
            )
        finally:
            if connection is None:
                with suppress(OSError):  # uvloop's, while it still has it for itself
                    sock.close()
        return connection

    def _protocol(self) -> Connection:
        bounds = self._bounds
        return Connection(AnswerReader(bounds.headers, bounds.most_body), self._limits, self._alive)
