"""What passes our reading of an address is read the same by the library that will use it."""

from typing import Any
from urllib.parse import quote

from aiormq.connection import Connection as Transport
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url
from sentry_sdk.utils import Dsn
from yarl import URL

from worker.settings.address import BROKER, DSN, ENDPOINT, REDIS, parse

LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True)
NAMES = st.lists(LABEL, min_size=1, max_size=3).map(".".join).filter(lambda name: not name.split(".")[-1].isdecimal())
HOSTS = st.one_of(NAMES, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda six: f"[{six}]"))
PORTS = st.none() | st.integers(1, 65_535)
SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def written(scheme: str, user: str, password: str, host: str, port: int | None, path: str) -> str:
    where = f"{host}:{port}" if port else host
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{where}/{path}"


async def transport_of(url: str) -> Transport:
    return Transport(url)


@given(SECRETS, SECRETS, HOSTS, PORTS, PATHS, PATHS)
async def test_rabbitmqs_library_reads_what_we_read(
    user: str, password: str, host: str, port: int | None, vhost: str, file: str
) -> None:
    url = f"{written('amqps', user, password, host, port, quote(vhost, safe=''))}?cafile={quote(file, safe='')}"
    ours, theirs = parse(url, BROKER), Transport(url)

    assert (ours.user, ours.password) == (theirs.url.user, theirs.url.password)
    assert (ours.host.lower(), ours.port or 5671) == (theirs.url.host, theirs.url.port)
    assert ours.options["cafile"] == theirs.ssl_certs.cafile == file


@given(SECRETS, SECRETS, HOSTS, PORTS, st.integers(0, 999), PATHS)
def test_redis_library_reads_what_we_read(
    user: str, password: str, host: str, port: int | None, database: int, file: str
) -> None:
    url = f"{written('rediss', user, password, host, port, str(database))}?ssl_ca_certs={quote(file, safe='')}"
    ours = parse(url, REDIS)
    theirs: Any = parse_url(url)

    assert (ours.user, ours.password) == (theirs["username"], theirs["password"]) == (user, password)
    assert (ours.host.lower(), ours.port, int(ours.path)) == (theirs["host"], theirs.get("port"), theirs["db"])
    assert ours.options["ssl_ca_certs"] == theirs["ssl_ca_certs"] == file


@given(HOSTS, PORTS)
def test_the_library_of_http_reads_what_we_read(host: str, port: int | None) -> None:
    url = f"https://{host}:{port}" if port else f"https://{host}/"
    ours, theirs = parse(url, ENDPOINT), URL(url)

    assert (ours.host.lower(), ours.port or 443) == (theirs.host, theirs.port)


@given(st.from_regex(r"[0-9a-f]{1,32}", fullmatch=True), NAMES, PORTS, st.integers(1, 10**9))
def test_sentrys_library_reads_what_we_read(key: str, host: str, port: int | None, project: int) -> None:
    url = f"https://{key}@{host}{f':{port}' if port else ''}/{project}"
    ours, theirs = parse(url, DSN), Dsn(url)

    assert (ours.user, ours.host.lower(), ours.port or 443) == (theirs.public_key, theirs.host.lower(), theirs.port)


#: Characters that mean something in a URL, and some that do not.
MARKS = st.text("@:/?#%[],;&=+ aB1.-é\x00\n", min_size=1, max_size=24)


@given(MARKS, st.sampled_from([BROKER, REDIS, ENDPOINT, DSN]))
def test_whatever_stands_there_it_is_read_or_refused_in_a_sentence_that_does_not_quote_it(text: str, form: Any) -> None:
    # It begins with no hexadecimal digit: after a bare % such a one cannot be told from an encoded character.
    secret = "zq9b8a7c"
    url = f"{form.schemes[0]}://user:{text}{secret}@host/1"
    told = ""
    try:
        ours = parse(url, form)
    except ValueError as error:
        told = str(error)
    else:
        assert secret in ours.password
        told = f"{ours.host}{ours.port}{ours.path}{ours!r}"

    assert secret not in told
