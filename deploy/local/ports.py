"""Which loopback ports a stack uses, so that two stacks and all their clients never meet.

Asking the kernel for port 0 would be simpler and wrong: that port lies in the range from which outgoing connections
get theirs. While a server is down, a client that reconnects to it can be given the very same port, connects to itself,
and keeps the server from coming back. So ports are taken below that range.
"""

import random
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from deploy.local.error import StackError

#: Ports of one stack: the first is the lock of the block, the others are handed out.
BLOCK: Final = 8
#: Below are the ports of well-known servers.
_LOWEST: Final = 10_240
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Linux's default, for a machine that does not show its own.
_DEFAULT_EPHEMERAL: Final = 32_768


def blocks(ephemeral: int) -> range:
    """The first ports of all blocks that end below *ephemeral*, the first port of outgoing connections."""
    if ephemeral < _LOWEST + BLOCK:
        ephemeral = 65_536  # a machine that uses nearly every port for outgoing connections leaves no better choice
    return range(_LOWEST, ephemeral - BLOCK + 1, BLOCK)


class Ports:
    """A block of free ports on 127.0.0.1, held against other stacks until it is closed."""

    def __init__(self, firsts: Iterable[int] | None = None) -> None:
        """Hold the first free block of *firsts*; by default all blocks in random order.

        Raises:
            StackError: No block is free.
        """
        for first in _shuffled() if firsts is None else firsts:
            lock = _bound(first)
            if lock is None:
                continue
            if all(_is_free(port) for port in range(first + 1, first + BLOCK)):
                self._lock = lock
                self._rest = iter(range(first + 1, first + BLOCK))
                return
            lock.close()
        raise StackError("no eight free ports in a row on 127.0.0.1: stop some of what listens there")

    def take(self) -> int:
        """The next port of the block."""
        return next(self._rest)

    def close(self) -> None:
        """Leave the block to others."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shuffled() -> list[int]:
    ephemeral = _DEFAULT_EPHEMERAL
    with suppress(OSError, ValueError, IndexError):
        ephemeral = int(_EPHEMERAL.read_text(encoding="ascii").split()[0])
    firsts = list(blocks(ephemeral))
    random.shuffle(firsts)
    return firsts


def _bound(port: int) -> socket.socket | None:
    """A socket that keeps *port*, or None: it is in use."""
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", port))
    except OSError:
        candidate.close()
        return None
    return candidate


def _is_free(port: int) -> bool:
    candidate = _bound(port)
    if candidate is None:
        return False
    candidate.close()
    return True
