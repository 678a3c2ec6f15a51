"""Keys are there when a call needs one, follow their source, and never stop the worker by being absent."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr

from tests.fakes import RecordingEvents
from worker.provider.credentials import ChainCredentials, ConfiguredCredentials, credentials_of
from worker.provider.key_chain import FoundKey, NoKey
from worker.provider.signature import AccessKey
from worker.settings.sections import ProviderSettings

NONE = timedelta(0)
LONG = timedelta(hours=1)
FIRST, SECOND = AccessKey("LTAI-1", "secret-1"), AccessKey("STS-2", "secret-2", "token-2")


class ScriptedChain:
    """Answers what it is given, the last answer for ever."""

    def __init__(self, *answers: AccessKey | Exception) -> None:
        self.answers = list(answers)
        self.opened = 0
        self.asked = 0
        self.thread = ""

    def open(self) -> "ScriptedChain":
        self.opened += 1
        return self

    def fetch(self) -> FoundKey:
        self.asked += 1
        self.thread = threading.current_thread().name
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return FoundKey(answer, "env")


@asynccontextmanager
async def started(
    chain: ScriptedChain, events: RecordingEvents, *, period: timedelta = LONG, pause: timedelta = NONE
) -> AsyncIterator[ChainCredentials]:
    credentials = ChainCredentials(events, open_chain=chain.open, period=period, pause=pause)
    await credentials.start()
    try:
        yield credentials
    finally:
        await credentials.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_key_is_there_after_the_start_and_was_fetched_in_a_thread() -> None:
    chain, events = ScriptedChain(SECOND), RecordingEvents()

    async with started(chain, events) as credentials:
        assert credentials.key == SECOND

    assert chain.thread != threading.main_thread().name
    assert events.told == [("provider.credentials_refreshed", {"source": "env", "temporary": True})]


async def test_no_key_is_an_event_and_is_looked_for_again() -> None:
    chain, events = ScriptedChain(NoKey("Env: CredentialException"), FIRST), RecordingEvents()

    async with started(chain, events) as credentials:
        await until(lambda: credentials.key is not None)

        assert credentials.key == FIRST
        assert events.told[0] == (
            "provider.credentials_failed",
            {"error": "Env: CredentialException", "has_key": False},
        )


async def test_a_refused_key_opens_the_chain_anew() -> None:
    chain, events = ScriptedChain(FIRST, SECOND), RecordingEvents()

    async with started(chain, events) as credentials:
        credentials.stale(FIRST)
        await until(lambda: credentials.key == SECOND)

    assert chain.opened == 2


async def test_a_key_that_was_replaced_meanwhile_is_not_looked_for_again() -> None:
    chain, events = ScriptedChain(SECOND), RecordingEvents()

    async with started(chain, events) as credentials:
        credentials.stale(FIRST)

        assert not credentials._asked.is_set()


async def test_many_refusals_ask_the_chain_only_once_in_a_pause() -> None:
    chain, events = ScriptedChain(FIRST), RecordingEvents()

    async with started(chain, events, pause=LONG) as credentials:
        for _ in range(100):
            credentials.stale(FIRST)
            await asyncio.sleep(0)

        assert chain.asked == 1


async def test_a_source_that_fails_later_leaves_the_last_key_in_use() -> None:
    chain, events = ScriptedChain(FIRST, NoKey("Ecs: TimeoutError")), RecordingEvents()

    async with started(chain, events, period=timedelta(milliseconds=1)) as credentials:
        await until(lambda: bool(events.named("provider.credentials_failed")))

        assert credentials.key == FIRST
        assert events.named("provider.credentials_failed")[0] == {"error": "Ecs: TimeoutError", "has_key": True}


async def test_an_unchanged_key_is_no_news() -> None:
    chain, events = ScriptedChain(FIRST), RecordingEvents()

    async with started(chain, events, period=timedelta(milliseconds=1)):
        await until(lambda: chain.asked > 3)

    assert len(events.told) == 1


async def test_a_configured_key_is_used_without_looking_elsewhere() -> None:
    settings = ProviderSettings(
        access_key_id="LTAI", access_key_secret=SecretStr("secret"), security_token=SecretStr("token")
    )

    credentials = credentials_of(settings, RecordingEvents())

    assert isinstance(credentials, ConfiguredCredentials)
    assert credentials.key == AccessKey("LTAI", "secret", "token")


@pytest.mark.parametrize(
    "settings", [ProviderSettings(), ProviderSettings(access_key_id="", access_key_secret=SecretStr(""))]
)
async def test_without_a_configured_key_the_chain_is_asked(settings: ProviderSettings) -> None:
    assert isinstance(credentials_of(settings, RecordingEvents()), ChainCredentials)


async def test_whatever_a_chain_raises_is_told_by_its_name_and_looked_for_again() -> None:
    chain, events = ScriptedChain(LookupError("AccessKeySecret=hunter2"), FIRST), RecordingEvents()

    async with started(chain, events) as credentials:
        await until(lambda: credentials.key is not None)

    assert events.named("provider.credentials_failed") == [{"error": "LookupError", "has_key": False}]
    assert credentials.key == FIRST
