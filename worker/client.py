"""For your own Python programs: publish send requests and know that RabbitMQ has them.

    async with Publisher("amqp://user:password@rabbitmq/", namespace="sms") as publisher:
        await publisher.publish({"id": "order-4711", "to": "+85251234567", "type": "NOTIFY", "text": "On its way."})

The id is your own name of the request. Workers remember it for 72 hours (``ledger.memory``): a request that is
published twice is sent once, and the second is told the first one's outcome. So publish again when in doubt.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Self

from pydantic import SecretStr, ValidationError

from worker.broker.publisher import BrokerPublisher
from worker.core.message.fault import sentence
from worker.core.message.request import MESSAGE_TYPE, SmsRequest, read
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, UsageError
from worker.settings.sections import BrokerSettings


class Publisher:
    """Publishes requests over one connection, which is restored when it breaks; any number of them at once.

    It belongs to the event loop, and so to the thread, in which ``async with`` entered it: any tasks of that loop may
    publish through it at the same time. Another loop or thread needs a Publisher of its own. After the block it may be
    entered again, in the same loop or in another.
    """

    def __init__(
        self,
        url: str,
        namespace: str = "sms",
        *,
        timeout: timedelta = timedelta(seconds=15),
        connect_timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        """*timeout* bounds the wait for one confirm. Nothing is declared: that is the workers' right.

        Raises:
            UsageError: an argument is at fault; every fault is named.
        """
        try:
            settings = BrokerSettings(
                url=SecretStr(url),
                namespace=namespace,
                publish_timeout=timeout,
                connect_timeout=connect_timeout,
                declare=False,
            )
        except ValidationError as error:
            faults = "; ".join(map(sentence, error.errors(include_url=False, include_input=False)))
            raise UsageError(f"the publisher cannot be made: {faults}") from None
        self._settings = settings
        self._topology = Topology(namespace)
        self._publisher: BrokerPublisher | None = None
        #: Where it was entered.
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            UsageError: it is entered already.
            BrokerUnavailable: RabbitMQ cannot be reached, or refuses; the text says which.
        """
        if self._publisher is not None:
            raise UsageError("this Publisher is in use: every event loop and thread needs one of its own")
        losses = _LastLoss()
        publisher = BrokerPublisher(self._settings, self._topology, losses)
        self._publisher, self._loop = publisher, asyncio.get_running_loop()
        async with AsyncExitStack() as undoing:
            undoing.push_async_callback(self._close)  # whatever ends the wait, a cancellation too
            publisher.start()
            try:
                await publisher.wait_connected()
            except BrokerUnavailable as error:
                raise (losses.last or error) from None
            undoing.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered()
        await self._close()

    async def _close(self) -> None:
        publisher, self._publisher, self._loop = self._publisher, None, None
        if publisher is not None:
            await publisher.aclose()

    def _entered(self) -> BrokerPublisher:
        if self._publisher is None:
            raise UsageError(
                "this Publisher is not connected: use it inside of `async with Publisher(…) as publisher:`"
            )
        if self._loop is not asyncio.get_running_loop():
            raise UsageError(
                "this Publisher belongs to the event loop and thread that entered it: make one for each, "
                "or hand the request over with asyncio.run_coroutine_threadsafe"
            )
        return self._publisher

    async def publish(self, request: SmsRequest | Mapping[str, Any]) -> None:
        """Publish *request* on the lane of its type; when this returns, RabbitMQ has it on disk.

        Raises:
            UsageError: *request* is at fault, and every fault is named; or this is not the event loop that entered the
                Publisher. Nothing was published.
            PublishUnconfirmed: no confirm came: RabbitMQ may or may not have it. Publish it again under the same id:
                workers make one SMS of the two. When the text says that there is no exchange, no worker has declared
                this namespace yet.
            BrokerUnavailable: not connected at the moment, or an alarm blocks publishing. Nothing was published.
        """
        publisher = self._entered()
        sms = request if isinstance(request, SmsRequest) else _validated(request)
        await publisher.publish(
            Outgoing(
                route=self._topology.to_lane(sms.lane),
                body=sms.model_dump_json(by_alias=True, exclude_defaults=True).encode(),
                headers={},
                type=MESSAGE_TYPE,
                content_type="application/json",
                correlation_id=sms.id,
            )
        )


def _validated(fields: Mapping[str, Any]) -> SmsRequest:
    try:
        return read(fields)
    except ValueError as error:
        raise UsageError(f"the request cannot be sent: {error}") from None


class _LastLoss:
    """Remembers why the connection could not be had."""

    def __init__(self) -> None:
        self.last: BrokerUnavailable | None = None

    def emit(self, name: str, /, **fields: Any) -> None:
        error = fields.get("error")
        if name == "broker.lost" and isinstance(error, BrokerUnavailable):
            self.last = error
