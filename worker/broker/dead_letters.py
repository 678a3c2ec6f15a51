"""Looks into the dead-letter queues, and brings letters back or throws them away, while workers run.

Looking is consuming without settling and then closing the channel, which returns everything in its order, but behind
what was returned before. So every look takes the whole queue, even when few letters are wanted: a look at the first
three would put them last. Each look raises the letters' delivery count by one; the queues' delivery limit is out of
reach.

One at a time looks into a queue: a second one would find it empty, and say so. A quorum queue has no exclusive consumer
(RabbitMQ 3.10 takes the second one), and a lock of our own would need the right to declare; so whoever looks counts the
consumers, before and after beginning, and gives way when there is another. Two that begin in one moment both give way.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from worker.broker.connection import Connection, connected, open_channel, translated
from worker.broker.depths import Depth, depth_of
from worker.broker.direct import DirectChannel, open_direct
from worker.broker.letter import Letter, letter_of
from worker.broker.publisher import BrokerPublisher
from worker.broker.settle import Publishes, acknowledge
from worker.core.message.history import HistoryEntry
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass
from worker.core.outgoing.envelope import replayed
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, InUse, UsageError
from worker.ports import Events
from worker.settings.sections import BrokerSettings

#: Letters of one look: RabbitMQ 3.10 returned 50,000 in order, 100,000 no longer; of a longer queue the first so many
#: come back behind the others. Those that are wanted are held in memory.
MOST: Final = 50_000
#: Publishes of a replay that wait for their confirm at the same time.
_AT_ONCE: Final = 200
#: A letter that does not come, or come back, for so long is in somebody else's hands. Seconds.
_PATIENCE_S: Final = 2.0
#: How often it is asked whether letters are back. Seconds.
_POLL_S: Final = 0.01

#: Which letters are meant.
Choice = Callable[[Letter], bool]


class DeadLetters:
    """The dead-letter queues of one namespace; see `open_dead_letters`."""

    def __init__(
        self, connection: Connection, publisher: Publishes, topology: Topology, *, now: Callable[[], datetime]
    ) -> None:
        """Look over *connection*, replay over *publisher*."""
        self._connection = connection
        self._publisher = publisher
        self._topology = topology
        self._now = now

    async def groups(self) -> Mapping[ErrorClass, Depth]:
        """How many letters wait in each class, and how many look at them; costs nothing and disturbs nobody.

        Letters in somebody's hands are not counted.

        Raises:
            BrokerUnavailable: the connection broke, or the topology is not declared.
        """
        channel = await open_channel(self._connection)
        depths = {error_class: await self._depth(channel, error_class) for error_class in DEAD_CLASSES}
        with translated("closing"):
            await channel.close()
        return depths

    async def scan(self, error_class: ErrorClass, limit: int = 1000) -> list[Letter]:
        """The oldest *limit* letters of a class, in order; all of them stay.

        Raises:
            UsageError: *limit* is above `MOST`.
            InUse: somebody else is looking; so it is with every look.
            BrokerUnavailable: the connection broke.
        """
        async with self._looking(error_class, limit) as look:
            return [letter async for letter in look]

    async def export(self, error_class: ErrorClass, limit: int = MOST) -> AsyncGenerator[Letter, None]:
        """Like `scan`, one letter after the other as they come; close the iterator when leaving it early."""
        async with self._looking(error_class, limit) as look:
            async for letter in look:
                yield letter

    async def show(self, error_class: ErrorClass, wanted: str | int, limit: int = MOST) -> Letter | None:
        """The first letter with a request id, or the one at a position (from 1); None when there is none."""
        chosen = chosen_by(wanted)
        bound = min(wanted, limit) if isinstance(wanted, int) else limit
        async with self._looking(error_class, bound) as look:
            async for letter in look:
                if chosen(letter):
                    return letter
        return None

    async def replay(
        self, error_class: ErrorClass, chosen: Choice, *, limit: int = 1000, lane: Lane | None = None
    ) -> list[Letter]:
        """Bring the chosen ones of the oldest *limit* letters back to their lane, or to *lane*, with fresh counters.

        Each is published and confirmed before it is acknowledged; the others stay in their order.

        Returns:
            Those that were brought back.

        Raises:
            UsageError: a chosen letter has no lane that can be told and *lane* is None; nothing was replayed.
            Unroutable: the lane has no queue; the letters stay.
            BrokerUnavailable: the connection broke; what was confirmed before is back, the rest stays. A letter whose
                confirm got lost may be in both places.
        """
        async with self._looking(error_class, limit) as look:
            letters = [letter async for letter in look if chosen(letter)]
            laneless = next((letter for letter in letters if (lane or letter.lane) is None), None)
            if laneless is not None:
                raise UsageError(f"letter {laneless.position} was published to {laneless.routing_key}: name a lane")
            gate = asyncio.Semaphore(_AT_ONCE)
            await _all(self._replay_one(look, letter, lane, gate) for letter in letters)
        return letters

    async def discard(self, error_class: ErrorClass, chosen: Choice, *, limit: int = 1000) -> list[Letter]:
        """Throw away the chosen ones of the oldest *limit* letters; the others stay in their order.

        Returns:
            Those that are gone.

        Raises:
            BrokerUnavailable: the connection broke; perhaps not all of the chosen are gone.
        """
        async with self._looking(error_class, limit) as look:
            letters = [letter async for letter in look if chosen(letter)]
            await _all(look.acknowledge(letter) for letter in letters)
        return letters

    async def _replay_one(self, look: "_Look", letter: Letter, lane: Lane | None, gate: asyncio.Semaphore) -> None:
        raw = letter.raw(lane or letter.lane or Lane.OTP)  # `replay` has made sure that there is one
        entry = HistoryEntry(self._now(), letter.code or "local.replayed", letter.error_class.value)
        message = replayed(raw, letter.request_id, self._topology, letter.history.replayed(entry))
        async with gate:
            await self._publisher.publish(message)
        await look.acknowledge(letter)

    async def _depth(self, channel: Channel, error_class: ErrorClass) -> Depth:
        return await depth_of(channel, self._topology.dead_queue(error_class))

    async def _only_with(self, consumers: int, channel: Channel, error_class: ErrorClass) -> int:
        """How many letters are ready; raises InUse when more than *consumers* look into their queue."""
        depth = await self._depth(channel, error_class)
        if depth.consumers > consumers:
            queue = self._topology.dead_queue(error_class)
            raise InUse(f"somebody else is looking into {queue} and has letters in hand: try again when they are done")
        return depth.messages

    @asynccontextmanager
    async def _looking(self, error_class: ErrorClass, limit: int) -> "AsyncIterator[_Look]":
        if not 1 <= limit <= MOST:
            raise UsageError(f"between 1 and {MOST} letters can be looked at in one go")
        direct = await open_direct(self._connection)
        channel = direct.library
        try:
            depth = await self._only_with(0, channel, error_class)
            look = _Look(direct, error_class, self._topology, held=min(depth, MOST), wanted=min(depth, limit))
            await look.begin()
            await self._only_with(1, channel, error_class)
        except InUse:
            with translated("closing"):
                await channel.close()
            raise
        try:
            yield look
            direct.socket.flush()
            await self._depth(channel, error_class)  # answered after the acknowledgements
        finally:
            direct.socket.flush()
            await look.wait_whole()
            with translated("closing"):
                await channel.close()
            await self._until_back(error_class, depth - look.gone)

    async def _until_back(self, error_class: ErrorClass, depth: int) -> None:
        """Closing a channel returns letters, and ends its consumer, a moment later: who comes at once needs both."""
        channel = await open_channel(self._connection)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while (now := await self._depth(channel, error_class)).messages < depth or now.consumers:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(_POLL_S)
        with translated("closing"):
            await channel.close()


class _Look:
    """One look into one queue: *held* letters come, none is settled but by `acknowledge`, *wanted* are given out."""

    def __init__(
        self, channel: DirectChannel, error_class: ErrorClass, topology: Topology, *, held: int, wanted: int
    ) -> None:
        self._direct = channel
        self._channel = channel.library
        self._error_class = error_class
        self._topology = topology
        self._held = held
        self._bound = wanted
        self._came = 0
        self._moved = asyncio.Event()
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        #: Letters that were acknowledged.
        self.gone = 0

    async def begin(self) -> None:
        if not self._held:
            return
        queue = self._topology.dead_queue(self._error_class)
        with translated(f"looking into {queue}"):
            await self._channel.basic_qos(prefetch_count=self._held)
            await self._channel.basic_consume(queue, self._take)

    async def wait_whole(self) -> None:
        """Return when every letter came, so that all go back together; or when no more come."""
        while self._came < self._held and not self._channel.is_closed:
            self._moved.clear()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._moved.wait()
            except TimeoutError:
                return

    async def _take(self, message: DeliveredMessage) -> None:
        self._came += 1
        self._moved.set()
        if self._came <= self._bound:
            self._arrived.put_nowait(message)

    async def __aiter__(self) -> AsyncIterator[Letter]:
        for position in range(1, self._bound + 1):
            message = await self._next()
            if message is None:
                return
            yield letter_of(message, self._error_class, position, self._topology)

    async def acknowledge(self, letter: Letter) -> None:
        """On a fresh channel with one consumer the delivery tag is the position."""
        acknowledge(self._direct, letter.position)
        self.gone += 1

    async def _next(self) -> DeliveredMessage | None:
        """The next message; None when somebody else took what was still there."""
        if self._arrived.empty():
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    return await self._arrived.get()
            except TimeoutError:
                if self._channel.is_closed:
                    raise BrokerUnavailable("the connection broke") from None
                return None
        return self._arrived.get_nowait()


def chosen_by(*wanted: str | int) -> Choice:
    """Choose by request id or by position; every letter of an id is chosen."""
    ids, positions = {one for one in wanted if isinstance(one, str)}, {one for one in wanted if isinstance(one, int)}
    return lambda letter: letter.request_id in ids or letter.position in positions


@asynccontextmanager
async def open_dead_letters(
    settings: BrokerSettings, topology: Topology, events: Events, *, now: Callable[[], datetime]
) -> AsyncIterator[DeadLetters]:
    """Connect for looking and for replaying; raises BrokerUnavailable when RabbitMQ cannot be reached."""
    publishing = settings.model_copy(update={"declare": False})
    async with connected(settings, "operate") as connection, BrokerPublisher(publishing, topology, events) as publisher:
        await publisher.wait_connected()
        yield DeadLetters(connection, publisher, topology, now=now)


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    """Take all *steps* side by side and wait for every one, then raise the first failure."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
