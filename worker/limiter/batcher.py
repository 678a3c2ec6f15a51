"""Scripts that are asked for in one turn of the event loop travel together: one write, one read.

Nothing is ever repeated on a guess: a call whose answer did not come may have been carried out. Only NOSCRIPT says for
certain that it was not.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from worker.errors import LimiterUnavailable
from worker.limiter.border import sentence, translated
from worker.limiter.scripts import Script

#: Pipelines under way at once; what is asked meanwhile waits for the next one, so that queueing in the client cannot
#: make answers older than a slot is fresh.
LINES: Final = 4
#: Scripts in one pipeline at most.
_LONGEST: Final = 256

Argument: TypeAlias = bytes | str | int


@dataclass(frozen=True, slots=True)
class _Call:
    script: Script
    keys: Sequence[bytes]
    args: Sequence[Argument]
    answer: "asyncio.Future[Any]"


class Batcher:
    """Runs scripts; what goes wrong becomes LimiterUnavailable here."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[_Call] = []
        self._lines: set[asyncio.Task[None]] = set()
        self._is_flush_due = False
        #: Whether the last exchange with Redis went well.
        self.available = False

    async def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Argument] = ()) -> Any:
        """Run *script* and return its reply.

        Raises:
            LimiterUnavailable: Redis cannot be reached or refuses; the script may or may not have run.
        """
        loop = asyncio.get_running_loop()
        call = _Call(script, keys, args, loop.create_future())
        self._waiting.append(call)
        if not self._is_flush_due:
            self._is_flush_due = True
            loop.call_soon(self._flush)
        return await call.answer

    async def aclose(self) -> None:
        """Wait for what is under way."""
        while self._lines:
            await asyncio.wait(self._lines)

    def _flush(self) -> None:
        self._is_flush_due = False
        while self._waiting and len(self._lines) < LINES:
            batch, self._waiting = self._waiting[:_LONGEST], self._waiting[_LONGEST:]
            line = asyncio.get_running_loop().create_task(self._send(batch), name="limiter pipeline")
            self._lines.add(line)
            line.add_done_callback(self._ended)

    def _ended(self, line: "asyncio.Task[None]") -> None:
        self._lines.discard(line)
        self._flush()

    async def _send(self, batch: Sequence[_Call]) -> None:
        failure = LimiterUnavailable("the exchange with Redis was broken off")
        replies: list[Any] = []
        try:
            with translated():
                replies = await self._exchange(batch)
        except LimiterUnavailable as error:
            failure = error
        finally:
            # Also when this task is cancelled: nobody may wait for ever.
            replies = replies or [failure] * len(batch)
            self.available = not any(isinstance(reply, Exception) for reply in replies)
            for call, reply in zip(batch, replies, strict=True):
                _answer(call, reply)

    async def _exchange(self, batch: Sequence[_Call]) -> list[Any]:
        replies = await self._pipeline((), batch)
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            again = [batch[index] for index in unknown]
            texts = {call.script.text for call in again}
            for index, reply in zip(unknown, await self._pipeline(sorted(texts), again), strict=True):
                replies[index] = reply
        return replies

    async def _pipeline(self, texts: Sequence[str], calls: Sequence[_Call]) -> list[Any]:
        """Load *texts*, run *calls*; the replies of the calls, errors among them."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for text in texts:
                pipeline.execute_command("SCRIPT LOAD", text)
            for call in calls:
                pipeline.execute_command("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        loaded, answers = replies[: len(texts)], replies[len(texts) :]
        refused = next((reply for reply in loaded if isinstance(reply, Exception)), None)
        return [refused if refused and isinstance(answer, NoScriptError) else answer for answer in answers]


def _answer(call: _Call, reply: Any) -> None:
    with suppress(asyncio.InvalidStateError):  # who asked was cancelled
        if isinstance(reply, LimiterUnavailable):
            call.answer.set_exception(LimiterUnavailable(str(reply)))  # one for each: a raised one keeps its traceback
        elif isinstance(reply, Exception):
            call.answer.set_exception(LimiterUnavailable(sentence(reply, call.script)))
        else:
            call.answer.set_result(reply)
