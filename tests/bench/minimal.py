"""The yardstick: the same work as the worker's, written by hand with the usual libraries and nothing else.

Careful where it costs little: bounded prefetch and concurrency, a pooled session, a signed call, the outcome published
with a confirm, and only then the acknowledgement. It has no limits, no validation, no retries, no metrics and no log;
what goes wrong ends it. ``python -m tests.bench.minimal AMQP_URL NAMESPACE ENDPOINT PREFETCH CONCURRENCY``
"""

import asyncio
import secrets
import sys
from datetime import UTC, datetime
from typing import Any

import aio_pika
import aiohttp
import orjson
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from yarl import URL

from worker.core.message.lane import Lane
from worker.provider.signature import AccessKey, signed

_KEY = AccessKey("sandbox", "sandbox-secret")
_OPERATION = "SendMessageToGlobe"


class Loop:
    """Takes requests, calls, publishes outcomes."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, done: AbstractExchange, concurrency: int) -> None:
        self._session, self._endpoint, self._done = session, URL(endpoint), done
        self._host = endpoint.removeprefix("http://")
        self._free = asyncio.Semaphore(concurrency)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(self, message: AbstractIncomingMessage) -> None:
        try:
            request = orjson.loads(message.body)
            async with self._free:
                reply = await self._call(request)
            outcome = {"id": request["id"], "outcome": "accepted", "message_id": reply["MessageId"]}
            body = aio_pika.Message(orjson.dumps(outcome), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await self._done.publish(body, routing_key=message.routing_key or "", timeout=15)
            await message.ack()
        except Exception as error:  # noqa: BLE001 - a task's exception would only be logged
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _call(self, request: dict[str, Any]) -> Any:
        parameters = {"To": request["to"].lstrip("+"), "Message": request["text"], "Type": request["type"]}
        parameters |= {"TaskId": request["id"], "ValidityPeriod": "300"}
        instant, nonce = datetime.now(UTC), secrets.token_hex(16)
        query, headers = signed(_OPERATION, parameters, host=self._host, key=_KEY, instant=instant, nonce=nonce)
        url = URL.build(
            scheme="http", authority=self._endpoint.raw_authority, path="/", query_string=query, encoded=True
        )
        async with self._session.post(url, headers=headers) as response:
            reply = orjson.loads(await response.read())
        if reply["ResponseCode"] != "OK":
            raise RuntimeError(reply["ResponseCode"])
        return reply


async def _main(amqp: str, namespace: str, endpoint: str, prefetch: int, concurrency: int) -> None:
    connection = await aio_pika.connect(amqp)
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=13)
    async with connection, aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        publishing = await connection.channel(publisher_confirms=True)
        done = await publishing.get_exchange(f"{namespace}.done", ensure=False)
        loop = Loop(session, endpoint, done, concurrency)
        for lane in Lane:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch)
            queue = await channel.get_queue(f"{namespace}.send.{lane.value}", ensure=False)
            await queue.consume(loop.take)
        await loop.failed


if __name__ == "__main__":
    amqp, namespace, endpoint, prefetch, concurrency = sys.argv[1:]
    uvloop.run(_main(amqp, namespace, endpoint, int(prefetch), int(concurrency)))
