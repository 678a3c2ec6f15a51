"""For your own Python programs: publish send requests and know that RabbitMQ has them.

    async with Publisher("amqp://user:password@rabbitmq/", namespace="sms") as publisher:
        await publisher.publish({"id": "order-4711", "to": "+85251234567", "type": "NOTIFY", "text": "On its way."})

The id is your own name of the request. Workers remember it for 72 hours (``ledger.memory``): a request that is
published twice is sent once, and the second is told the first one's outcome. So publish again when in doubt.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from pydantic import SecretStr, ValidationError

from worker.broker.publisher import Publisher as BrokerPublisher
from worker.core.envelope import Outgoing
from worker.core.fault import sentence
from worker.core.request import MESSAGE_TYPE, SmsRequest, read
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, UsageError
from worker.settings import BrokerSettings


class Publisher:
    """Publishes requests over one connection, which is restored when it breaks; any number of them at once."""

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
        self._topology = Topology(namespace)
        self._losses = _LastLoss()
        self._publisher = BrokerPublisher(settings, self._topology, self._losses)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BrokerUnavailable: it cannot be reached, or refuses; the text says which.
        """
        self._publisher.start()
        try:
            await self._publisher.wait_connected()
        except BrokerUnavailable as error:
            await self._publisher.aclose()
            raise (self._losses.last or error) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._publisher.aclose()

    async def publish(self, request: SmsRequest | Mapping[str, Any]) -> None:
        """Publish *request* on the lane of its type; when this returns, RabbitMQ has it on disk.

        Raises:
            UsageError: *request* is at fault; every fault is named. Nothing was published.
            PublishUnconfirmed: no confirm came: RabbitMQ may or may not have it. Publish it again under the same id:
                workers make one SMS of the two. When the text says that there is no exchange, no worker has declared
                this namespace yet.
            BrokerUnavailable: not connected at the moment, or an alarm blocks publishing. Nothing was published.
        """
        sms = request if isinstance(request, SmsRequest) else _validated(request)
        await self._publisher.publish(
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
