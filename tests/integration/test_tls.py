"""RabbitMQ and Redis over TLS, with a private authority and client certificates, on real servers."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local import install
from deploy.local.ports import Ports
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.server import Server
from tests.batching import batching, echoes
from tests.certificates import Authority, Pair
from tests.makers import make_fields
from tests.scripted_server import NewLoop, on_both_loops, run
from tests.system import running_system
from tests.waiting import eventually
from worker.broker.connection import connected, open_channel
from worker.errors import BrokerUnavailable, LimiterUnavailable
from worker.limiter.border import translated
from worker.limiter.connection import connect, disconnect, no_greeting
from worker.settings.sections import BrokerSettings, RedisSettings

HERE = "127.0.0.1"
_PATIENCE_S = 60

_REDIS = """\
bind 127.0.0.1
port 0
tls-port {port}
tls-ca-cert-file {ca}
tls-cert-file {server.certificate}
tls-key-file {server.key}
tls-auth-clients yes
dir {folder}
save ""
"""
_RABBITMQ = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {server.certificate}
ssl_options.keyfile = {server.key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""


@dataclass(frozen=True)
class Secured:
    """Both servers, and who they believe."""

    ca: Path
    stranger: Path
    client: Pair
    ended: Pair
    amqps: int
    rediss: int

    def broker(self, host: str = HERE, *, ca: Path | None = None, client: Pair | None = None) -> BrokerSettings:
        mine = f"&certfile={client.certificate}&keyfile={client.key}" if client else ""
        url = f"amqps://guest:guest@{host}:{self.amqps}/?cafile={ca or self.ca}{mine}"
        return BrokerSettings(url=SecretStr(url), connect_timeout=timedelta(seconds=20))

    def redis(self, host: str = HERE, *, ca: Path | None = None, client: Pair | None = None) -> RedisSettings:
        mine = f"&ssl_certfile={client.certificate}&ssl_keyfile={client.key}" if client else ""
        url = f"rediss://{host}:{self.rediss}/0?ssl_ca_certs={ca or self.ca}{mine}"
        patience = timedelta(seconds=20)
        return RedisSettings(url=SecretStr(url), timeout=patience, connect_timeout=patience)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    ours, stranger = Authority(folder, "ours"), Authority(folder, "stranger")
    server, client = ours.sign("server", HERE), ours.sign("client")
    ended = ours.sign("ended", HERE, lasts=-timedelta(days=1))
    rabbitmq_server, redis_server = install.find_rabbitmq(), install.find_redis()
    assert rabbitmq_server
    assert redis_server
    with Ports() as ports:
        amqps, rediss = ports.take(), ports.take()
        rabbitmq = RabbitMQ(rabbitmq_server, folder / "rabbitmq", ports, os.environ)
        words = {"ca": ours.certificate, "server": server}
        (folder / "rabbitmq" / "conf.d" / "95-tls.conf").write_text(_RABBITMQ.format(port=amqps, **words))
        (folder / "redis.conf").write_text(_REDIS.format(port=rediss, folder=folder, **words))
        redis = Server("redis", [str(redis_server), str(folder / "redis.conf")], os.environ, folder)
        try:
            redis.spawn()
            rabbitmq.start()
            redis.wait_until(lambda: "Ready to accept connections" in (folder / "redis.out").read_text(), _PATIENCE_S)
            yield Secured(ours.certificate, stranger.certificate, client, ended, amqps, rediss)
        finally:
            redis.kill()
            rabbitmq.close()


async def test_a_worker_sends_over_tls_to_servers_of_a_private_authority(secured: Secured) -> None:
    broker, redis = secured.broker(client=secured.client), secured.redis(client=secured.client)
    patient = {"redis.timeout": "5s", "redis.connect_timeout": "5s"}
    urls = (broker.url.get_secret_value(), redis.url.get_secret_value())

    async with running_system(*urls, flags=patient) as system:
        await system.publish("otp", make_fields(id="r-1"))

        assert await system.settled(1) == {"done": 1}


@on_both_loops
def test_scripts_travel_over_tls_and_over_a_new_connection_when_one_has_ended(
    new_loop: NewLoop, secured: Secured
) -> None:
    redis = secured.redis(client=secured.client)

    async def scene() -> None:
        administrator = connect(redis, no_greeting)
        async with batching(redis.url.get_secret_value()) as batcher:
            for size in (10, 20_000):
                await echoes(batcher, 100, size)
            ended = await administrator.client_kill_filter(skipme=True)
            assert ended == 1
            await eventually(lambda: batcher._link is None, 10, "the end is noticed")
            await echoes(batcher, 100)
        await disconnect(administrator)

    run(new_loop, scene())


async def ask_broker(settings: BrokerSettings) -> None:
    async with connected(settings, "operate") as connection:
        await open_channel(connection)


async def ask_redis(settings: RedisSettings) -> None:
    client = connect(settings, no_greeting)
    try:
        with translated():
            await client.ping()
    finally:
        await disconnect(client)


async def test_a_server_of_another_authority_is_refused(secured: Secured) -> None:
    with pytest.raises(BrokerUnavailable, match=r"^RabbitMQ at 127\.0\.0\.1:\d+: .*certificate verify failed"):
        await ask_broker(secured.broker(ca=secured.stranger, client=secured.client))
    with pytest.raises(LimiterUnavailable, match=r"^Redis cannot be reached: .*certificate verify failed"):
        await ask_redis(secured.redis(ca=secured.stranger, client=secured.client))


async def test_a_server_under_another_name_is_refused(secured: Secured) -> None:
    with pytest.raises(BrokerUnavailable, match=r"Hostname mismatch, certificate is not valid for 'localhost'"):
        await ask_broker(secured.broker("localhost", client=secured.client))
    with pytest.raises(LimiterUnavailable, match=r"Hostname mismatch, certificate is not valid for 'localhost'"):
        await ask_redis(secured.redis("localhost", client=secured.client))


async def test_without_a_certificate_of_our_own_a_server_that_asks_for_one_refuses_us(secured: Secured) -> None:
    with pytest.raises(BrokerUnavailable, match=r"certificate of your own\? Then its address needs certfile and"):
        await ask_broker(secured.broker())
    with pytest.raises(LimiterUnavailable, match=r"certificate of your own\? Then its address needs ssl_certfile and"):
        await ask_redis(secured.redis())


async def test_a_server_whose_certificate_has_ended_is_refused(secured: Secured) -> None:
    async with server_with(secured.ended) as port:
        there = Secured(secured.ca, secured.stranger, secured.client, secured.ended, port, port)
        with pytest.raises(BrokerUnavailable, match="certificate has expired"):
            await ask_broker(there.broker())
        with pytest.raises(LimiterUnavailable, match="certificate has expired"):
            await ask_redis(there.redis())


@asynccontextmanager
async def server_with(pair: Pair) -> AsyncIterator[int]:
    """A server that nobody gets past the handshake of."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    async with await asyncio.start_server(lambda _, writer: writer.close(), HERE, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
