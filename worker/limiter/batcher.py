"""Scripts that are asked for in one turn of the event loop travel together, in one write.

Nothing is ever repeated on a guess: a call whose answer did not come may have been carried out. Only NOSCRIPT says for
certain that it was not.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from worker.errors import LimiterUnavailable
from worker.limiter.border import sentence, translated
from worker.limiter.link import Link
from worker.limiter.resp import Argument, packed, packed_call
from worker.limiter.scripts import Script

#: Writes under way at once. What is asked meanwhile waits for the next one: the busier Redis is, the more travels
#: together, and queueing in the client cannot make answers older than a slot is fresh.
_WRITES: Final = 4
#: Scripts in one write at most.
_LONGEST: Final = 256


@dataclass(slots=True, eq=False)
class _Call:
    script: Script
    keys: Sequence[bytes]
    args: Sequence[Argument]
    answer: "asyncio.Future[Any]"
    #: Redis said that it does not know the script: load it before.
    is_unknown: bool = False


class Batcher:
    """Runs scripts; what goes wrong becomes LimiterUnavailable here."""

    def __init__(self, connect: Callable[[], Awaitable[AbstractConnection]], patience_s: float) -> None:
        """Do not connect yet.

        Args:
            connect: Gives a connection of its own, open and greeted; raises LimiterUnavailable.
            patience_s: How long an answer may take; one that is late ends the connection, and all that waits fails.
        """
        self._connect = connect
        self._patience_s = patience_s
        self._waiting: list[_Call] = []
        self._under_way: deque[list[_Call]] = deque()
        self._connection: AbstractConnection | None = None
        self._link: Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._is_flush_due = False
        #: Remembered, because to ask for it is a system call each time (CPython 3.11).
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Whether the last exchange with Redis went well.
        self.available = False

    async def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Argument] = ()) -> Any:
        """Run *script* and return its reply.

        Raises:
            LimiterUnavailable: Redis cannot be reached or refuses; the script may or may not have run.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Call(script, keys, args, answer))
        self._flush_soon(loop)
        return await answer

    async def aclose(self) -> None:
        """Wait for what is under way and close the connection."""
        while left := self._unanswered():
            await asyncio.wait(left)
        if self._opening is not None:
            await asyncio.wait([self._opening])
        with suppress(LimiterUnavailable), translated():
            await self._close()

    def _unanswered(self) -> "list[asyncio.Future[Any]]":
        calls = (call for batch in (*self._under_way, self._waiting) for call in batch)
        return [call.answer for call in calls if not call.answer.done()]

    # -- the connection -----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        failure = LimiterUnavailable("the exchange with Redis was broken off")
        try:
            with translated():
                await self._close(nowait=True)
                self._connection = await self._connect()
                self._link = await Link.over(self._connection, self._patience_s, self._lost)
        except LimiterUnavailable as error:
            failure = error
        finally:
            # Also when this task is cancelled: nobody may wait for ever.
            self._opening = None
            if self._link is None:
                self._give_up(str(failure))
            self._flush()

    async def _close(self, *, nowait: bool = False) -> None:
        connection, self._connection, self._link = self._connection, None, None
        if connection is not None:
            await connection.disconnect(nowait=nowait)

    def _lost(self, link: Link, reason: Exception) -> None:
        if link is self._link:
            self._link = None
            if self._waiting:
                self._give_up(sentence(reason))

    def _give_up(self, why: str) -> None:
        """Nobody waits for the next connection: one after the other might take as long as the first."""
        self.available = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            _fail(call, why)

    # -- one turn of the loop -----------------------------------------------------------------------------------

    def _flush_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        link = self._link
        if link is not None and not link.is_open:  # what waits was not sent, and goes on with the next one
            self._link = None
            link.end(RedisConnectionError("the other end closed the connection"))
        if self._link is None or link is None:
            if self._waiting and self._opening is None:
                self._opening = asyncio.get_running_loop().create_task(self._open(), name="limiter connection")
            return
        while self._waiting and link.under_way < _WRITES:
            batch, self._waiting = self._waiting[:_LONGEST], self._waiting[_LONGEST:]
            self._send(link, [call for call in batch if not call.answer.done()])  # who asked may have been cancelled

    def _send(self, link: Link, batch: list[_Call]) -> None:
        if not batch:
            return
        texts = {call.script.text for call in batch if call.is_unknown}
        loads = [packed("SCRIPT", "LOAD", text) for text in sorted(texts)]
        self._under_way.append(batch)
        calls = [packed_call(call.script, call.keys, call.args) for call in batch]
        link.send(loads + calls, partial(self._settle, len(loads)))

    def _settle(self, loads: int, replies: list[Any] | Exception) -> None:
        batch = self._under_way.popleft()
        if isinstance(replies, Exception):
            self.available = False
            why = sentence(replies)
            for call in batch:
                _fail(call, why)
            return
        refused = next((reply for reply in replies[:loads] if isinstance(reply, Exception)), None)
        is_well, unknown = True, []
        for call, reply in zip(batch, replies[loads:], strict=True):
            if not isinstance(reply, Exception):
                if not call.answer.done():
                    call.answer.set_result(reply)
            elif isinstance(reply, NoScriptError) and not call.is_unknown:
                call.is_unknown = True
                unknown.append(call)
            else:
                is_well = False
                error = refused if refused is not None and isinstance(reply, NoScriptError) else reply
                _fail(call, sentence(error, call.script))
        if not unknown:
            self.available = is_well
        self._waiting = unknown + self._waiting
        if self._waiting:
            self._flush_soon(asyncio.get_running_loop())


def _fail(call: _Call, why: str) -> None:
    if not call.answer.done():
        call.answer.set_exception(LimiterUnavailable(why))  # one for each: a raised one keeps its traceback
