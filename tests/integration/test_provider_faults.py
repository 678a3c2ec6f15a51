"""A call that failed is told from one that may have arrived, by what the other end of the connection did."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes import RecordingEvents
from tests.scripted_server import (
    BODY,
    KEY,
    OK,
    REQUEST,
    SHORT,
    SILENCE,
    Answer,
    NewLoop,
    answer_of,
    exchange,
    http,
    on_both_loops,
    resets,
    run,
    says,
    says_and_closes,
    scripted_server,
    settings,
)
from worker.core.outcome.outcome import Fault, Reply
from worker.provider.client import Client
from worker.provider.credentials import ConfiguredCredentials
from worker.provider.http.connection import Connection
from worker.provider.http.pool import Pool


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.01)


# -- faults after the call was written ---------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SILENCE, Fault.TIMEOUT),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le"), Fault.TIMEOUT),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), Fault.TIMEOUT),
        (drips, Fault.TIMEOUT),
        (says_and_closes(b""), Fault.CONNECTION_CUT),
        (resets, Fault.CONNECTION_CUT),
        (says_and_closes(b"HTTP/1.1 200 OK\r\nContent-Le"), Fault.CONNECTION_CUT),
        (says_and_closes(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + BODY), Fault.CONNECTION_CUT),
        (
            says_and_closes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n49\r\n" + BODY),
            Fault.CONNECTION_CUT,
        ),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY), Fault.CONNECTION_CUT),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + BODY), Fault.CONNECTION_CUT),
        (says(http("200 OK", BODY, "Content-Encoding: gzip")), Fault.CONNECTION_CUT),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Fault.CONNECTION_CUT),
        (says(http("200 OK", BODY, "X: " + "x" * 70_000)), Fault.CONNECTION_CUT),
        (says(b"\0" * 1000), Fault.CONNECTION_CUT),
    ],
)
def test_a_call_that_may_have_arrived_is_never_made_again(new_loop: NewLoop, answer: Answer, expected: Fault) -> None:
    limits: dict[str, Any] = {"read_timeout": SHORT, "connect_timeout": 2 * SHORT} if expected is Fault.TIMEOUT else {}

    fault, calls = run(new_loop, exchange(answer, **limits))

    assert fault is expected
    assert len(calls) == 1


async def test_a_connection_that_brought_nonsense_is_not_used_for_the_next_call() -> None:
    async with (
        scripted_server(says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), OK) as provider,
        Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
    ):
        assert await client.send(REQUEST, 300) is Fault.CONNECTION_CUT
        assert isinstance(await client.send(REQUEST, 300), Reply)

    assert provider.connections == 2


# -- faults before it --------------------------------------------------------------------------------------------------


@on_both_loops
def test_a_refused_connection_is_not_reached(new_loop: NewLoop) -> None:
    assert run(new_loop, answer_of(free_port())) is Fault.NOT_REACHED


async def test_many_calls_fail_side_by_side_and_each_gets_its_own_answer() -> None:
    async with Client(settings(f"http://127.0.0.1:{free_port()}"), RecordingEvents()) as client:
        answers = await asyncio.gather(*(client.send(REQUEST, 300) for _ in range(50)))

    assert answers == [Fault.NOT_REACHED] * 50


async def test_a_name_that_does_not_exist_is_not_reached() -> None:
    async with Client(settings("http://sms.invalid", allow_plain_http=True), RecordingEvents()) as client:
        assert await client.send(REQUEST, 300) is Fault.NOT_REACHED


@on_both_loops
def test_a_certificate_that_nobody_vouches_for_is_not_reached(new_loop: NewLoop, tmp_path: Path) -> None:
    assert run(new_loop, exchange(OK, tls=self_signed(tmp_path))) == (Fault.NOT_REACHED, [])


@on_both_loops
@pytest.mark.parametrize("instead", [says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), says_and_closes(b""), resets])
def test_a_port_that_does_not_speak_tls_is_not_reached(new_loop: NewLoop, instead: Answer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await instead(writer)
        writer.close()

    async def call() -> Reply | Fault:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await answer_of(server.sockets[0].getsockname()[1], "https")

    assert run(new_loop, call()) is Fault.NOT_REACHED


@on_both_loops
def test_a_handshake_that_never_ends_is_not_reached(new_loop: NewLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = answer_of(server.getsockname()[1], "https", connect_timeout=SHORT)

        assert run(new_loop, call) is Fault.NOT_REACHED


@on_both_loops
def test_a_call_that_did_not_reach_the_provider_is_not_repeated_within_its_slot(new_loop: NewLoop) -> None:
    """A second try would leave late, together with the calls of the next slots."""
    nonces: list[str] = []

    def nonce() -> str:
        nonces.append("n")
        return "n"

    async def call() -> Reply | Fault:
        async with Client(settings(f"http://127.0.0.1:{free_port()}"), RecordingEvents(), nonce=nonce) as client:
            return await client.send(REQUEST, 300)

    assert run(new_loop, call()) is Fault.NOT_REACHED
    assert nonces == ["n"]


async def test_a_connection_that_was_closing_under_the_call_is_replaced_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is closed after the call has taken it from the pool, before it is written to: nothing can have left."""
    nonces: list[str] = []

    def nonce() -> str:
        nonces.append(f"n-{len(nonces) + 1}")
        return nonces[-1]

    kept = Pool._kept

    def closing(pool: Pool) -> Connection | None:
        if connection := kept(pool):
            assert connection._transport is not None
            connection._transport.close()
        return connection

    monkeypatch.setattr(Pool, "_kept", closing)
    async with (
        scripted_server(OK) as provider,
        Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents(), nonce=nonce) as client,
    ):
        assert isinstance(await client.send(REQUEST, 300), Reply)
        assert isinstance(await client.send(REQUEST, 300), Reply)

    assert nonces == ["n-1", "n-2", "n-3"]
    assert [headers["x-acs-signature-nonce"] for _, headers in provider.calls] == ["n-1", "n-3"]


async def test_without_a_key_or_an_open_pool_no_call_is_made() -> None:
    async with scripted_server(OK) as provider:
        where, credentials = settings(f"http://127.0.0.1:{provider.port}"), ConfiguredCredentials(KEY)
        client = Client(where, RecordingEvents(), credentials=credentials)

        assert await client.send(REQUEST, 300) is Fault.NOT_REACHED
        async with client:
            credentials.key = None
            assert await client.send(REQUEST, 300) is Fault.NOT_REACHED
            credentials.key = KEY
        assert await client.send(REQUEST, 300) is Fault.NOT_REACHED

    assert provider.calls == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "self-signed.pem"
    path.write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
