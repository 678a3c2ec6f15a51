"""The named steps of a message's path at which a worker is killed, and how each is found in the worker.

The product knows nothing of this: a point is a method of one of its parts, before which or after which the doomed
worker counts. When a part is renamed this table is the only place to change; a point that is not there any more fails.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

import orjson

from tests.faults.doom import Doom
from worker.app import App
from worker.broker.consumer import Intake
from worker.broker.direct import DirectChannel
from worker.broker.publisher import BrokerPublisher
from worker.broker.socket import Socket
from worker.core.limits.quota import Admitted
from worker.core.message.decode import Request
from worker.core.outcome.outcome import Acceptance
from worker.delivery.dispatch import Dispatch
from worker.delivery.pipeline import Pipeline
from worker.limiter.limiter import RedisLimiter
from worker.provider.client import Client
from worker.provider.http.connection import Connection

#: Makes the worker of this process die at a point.
Patch: TypeAlias = Callable[[Doom], None]


def before(owner: Any, name: str) -> Patch:
    """The point before *owner*'s coroutine function *name*."""

    def patch(doom: Doom) -> None:
        original = getattr(owner, name)

        async def doomed(*args: Any, **kwargs: Any) -> Any:
            doom.strike(_id_of(args))
            return await original(*args, **kwargs)

        setattr(owner, name, doomed)

    return patch


def after(owner: Any, name: str, counts: Callable[[tuple[Any, ...], Any], bool] = lambda _args, _result: True) -> Patch:
    """The point after *owner*'s coroutine function *name*; only calls for which *counts* is true count."""

    def patch(doom: Doom) -> None:
        original = getattr(owner, name)

        async def doomed(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            if counts(args, result):
                doom.strike(_id_of(args))
            return result

        setattr(owner, name, doomed)

    return patch


def draining(rest: Patch) -> Patch:
    """Let the worker get SIGTERM at its n-th call, and die at the first passing of *rest* after that."""

    def patch(doom: Doom) -> None:
        begins = Doom(doom.point, doom.passing, doom.pipe)
        doom.is_armed, doom.passing = False, 1
        call, drain = Client._call, App._drain

        async def called(*args: Any, **kwargs: Any) -> Any:
            if begins.is_now():
                os.kill(os.getpid(), signal.SIGTERM)
            return await call(*args, **kwargs)

        async def drained(*args: Any, **kwargs: Any) -> Any:
            doom.is_armed = True
            return await drain(*args, **kwargs)

        _replace(Client, "_call", called)
        _replace(App, "_drain", drained)
        rest(doom)

    return patch


def _replace(owner: Any, name: str, replacement: Any) -> None:
    setattr(owner, name, replacement)


def _bytes_left(doom: Doom) -> None:
    """Before the answer is waited for, as soon as the call's bytes are with the kernel."""
    exchange = Connection.exchange

    async def doomed(self: Connection, request: bytes, ends: float) -> Any:
        if not doom.is_now():
            return await exchange(self, request, ends)
        answer = asyncio.create_task(exchange(self, request, ends))
        await asyncio.sleep(0)
        while self._transport is not None and self._transport.get_write_buffer_size():
            await asyncio.sleep(0)
        if not answer.done():
            doom.die(parse_qs(request.split(b" ")[1].partition(b"?")[2].decode())["TaskId"][0])
        return await answer

    _replace(Connection, "exchange", doomed)


def _publish_written(doom: Doom) -> None:
    """As soon as the frames of a publish are with the kernel: the broker's confirm needs a disk write at least."""
    write = Socket.write

    def doomed(self: Socket, frames: bytes) -> None:
        write(self, frames)
        if doom.is_now():
            _when_written(self, doom)

    _replace(Socket, "write", doomed)


def _acks_queued(doom: Doom) -> None:
    """Before what was gathered is written."""
    take = DirectChannel.take

    def doomed(self: DirectChannel) -> bytes:
        doom.strike()
        return take(self)

    _replace(DirectChannel, "take", doomed)


def _acks_written(doom: Doom) -> None:
    """As soon as acknowledgements are with the kernel."""
    take = DirectChannel.take

    def doomed(self: DirectChannel) -> bytes:
        acks = take(self)
        if acks and doom.is_now():
            _when_written(self.socket, doom)
        return acks

    _replace(DirectChannel, "take", doomed)


def _when_written(socket: Socket, doom: Doom) -> None:
    """End the worker as soon as all that this turn of the event loop writes is with the kernel."""
    loop, transport = asyncio.get_running_loop(), socket._transport_now
    assert transport is not None

    def look(turns: int) -> None:
        if turns or transport.get_write_buffer_size():
            loop.call_soon(look, max(0, turns - 1))
        else:
            doom.die()

    loop.call_soon(look, 1)  # what is written leaves at the end of a turn


def _id_of(args: tuple[Any, ...]) -> str | None:
    """The id of the request among the arguments of a method, if there is one."""
    return next((arg.sms.id for arg in args if isinstance(arg, Request)), None)


def _is_claim(_: tuple[Any, ...], admission: Any) -> bool:
    return isinstance(admission, Admitted)


def _is_acceptance(args: tuple[Any, ...], _: Any) -> bool:
    return isinstance(args[2], Acceptance)


#: In the order of the path.
POINTS: Final[Mapping[str, Patch]] = {
    "received": before(Pipeline, "receive"),
    "before the claim": before(RedisLimiter, "admit"),
    "claimed": after(RedisLimiter, "admit", _is_claim),
    "before the call": before(Client, "_call"),
    "bytes left": _bytes_left,
    "reply arrived": after(Connection, "exchange"),
    "reply read": after(Client, "send"),
    "acceptance recorded": after(RedisLimiter, "record", _is_acceptance),
    "before the publish": before(BrokerPublisher, "publish"),
    "publish written": _publish_written,
    "confirmed": after(BrokerPublisher, "publish"),
    "ack queued": _acks_queued,
    "ack written": _acks_written,
    "drain: asked": draining(before(Intake, "stop")),
    "drain: intake stopped": draining(before(Dispatch, "drain")),
    "drain: recorded": draining(after(RedisLimiter, "record")),
    "drain: confirmed": draining(after(BrokerPublisher, "publish")),
    "drain: calls ended": draining(after(Dispatch, "drain")),
    "drain: idle": draining(after(Intake, "wait_idle")),
}


def count_in_hand(doom: Doom) -> None:
    """Keep `Doom.in_hand`."""
    receive = Pipeline.receive

    async def counted(self: Pipeline, delivery: Any) -> None:
        one = orjson.loads(delivery.raw.body)["id"]
        doom.in_hand.add(one)
        try:
            await receive(self, delivery)
        finally:
            doom.in_hand.discard(one)

    _replace(Pipeline, "receive", counted)
