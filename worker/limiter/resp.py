"""The bytes of Redis' protocol (RESP 2): a script that is asked for, and the replies that come back. No I/O here."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from hiredis import PushNotification, Reader, pack_command
from redis._parsers import BaseParser  # the kinds of errors, as border.py knows them, have no public maker
from redis.exceptions import InvalidResponse

from worker.limiter.scripts import Script

Argument: TypeAlias = bytes | str | int

#: What hiredis says when a reply has not come as a whole.
_NOT_YET: Final = object()


def packed(*words: Argument) -> bytes:
    r"""The command of these *words*.

    >>> packed("SCRIPT", "LOAD", b"return 1")
    b'*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n'
    """
    command: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub knows tuples of one word only
    return command


def packed_call(script: Script, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes:
    """The command that runs *script*."""
    return packed("EVALSHA", script.sha, len(keys), *keys, *args)


class Replies:
    """Cuts what one connection says into replies."""

    def __init__(self) -> None:
        self._reader = Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_NOT_YET
        )  # fmt: skip

    def feed(self, data: bytes) -> list[Any]:
        """The replies that are whole with *data*, in their order; one that is an error is an exception of redis-py's.

        What the other end says unasked (a push message) belongs to no command, and is left out.

        Raises:
            Exception: This is no Redis: the connection must not be used any more. What kind is up to the library.
        """
        reader = self._reader
        reader.feed(data)
        replies = []
        while (reply := reader.gets()) is not _NOT_YET:
            if type(reply) is not PushNotification:
                replies.append(reply)
        return replies
