"""Access keys, kept off the way of a message: a call takes the key that is there, a task of its own keeps it fresh."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

from worker.ports import Events
from worker.provider.key_chain import FoundKey, KeyChain, NoKey
from worker.provider.signature import AccessKey
from worker.settings.sections import ProviderSettings

#: How often the chain is asked. It answers from memory, and renews a temporary key 15 minutes before its end.
REFRESH_PERIOD: Final = timedelta(minutes=1)
#: Least time between two looks, whatever is asked: the sources have limits of their own.
REFRESH_PAUSE: Final = timedelta(seconds=5)
#: The start waits no longer for a first key: a metadata service that hangs must not keep the worker from its health
#: port.
_START_PATIENCE_S: Final = 10.0


class Chain(Protocol):
    """Where keys are looked for; blocking."""

    def fetch(self) -> FoundKey:
        """The current key; raises NoKey when there is none."""


class Credentials(Protocol):
    """Where a call gets its key from."""

    @property
    def key(self) -> AccessKey | None:
        """The current key; None while there is none."""

    def stale(self, key: AccessKey) -> None:
        """The provider refused *key*: look for another soon. Returns at once."""

    async def start(self) -> None:
        """Look for a key, and keep it fresh from then on."""

    async def aclose(self) -> None:
        """Stop looking."""


class ConfiguredCredentials:
    """The key that the configuration gives: it does not change while the worker runs."""

    def __init__(self, key: AccessKey) -> None:
        """Use *key*."""
        self.key: AccessKey | None = key

    def stale(self, key: AccessKey) -> None:
        """There is no other."""

    async def start(self) -> None:
        """There is nothing to look for."""

    async def aclose(self) -> None:
        """There is nothing to stop."""


class ChainCredentials:
    """Keys from the provider's default chain, fetched in a thread because the chain blocks."""

    def __init__(
        self,
        events: Events,
        *,
        open_chain: Callable[[], Chain] = KeyChain,
        period: timedelta = REFRESH_PERIOD,
        pause: timedelta = REFRESH_PAUSE,
    ) -> None:
        """Ask the chain every *period*, sooner when a key is refused, but never sooner than *pause* after the last."""
        self.key: AccessKey | None = None
        self._events = events
        self._open_chain = open_chain
        self._period_s = period.total_seconds()
        self._pause_s = pause.total_seconds()
        self._chain: Chain | None = None
        self._asked = asyncio.Event()
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the chain was asked once, or when that takes too long; having no key is an event, no error."""
        self._task = asyncio.create_task(self._keep_fresh(), name="credentials")
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_PATIENCE_S):
                await self._looked.wait()

    async def aclose(self) -> None:
        """Stop; a thread that still waits for a source ends with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def stale(self, key: AccessKey) -> None:
        """Forget what the chain remembers and ask it again; a *key* that was replaced meanwhile changes nothing."""
        if key is self.key:
            self._chain = None
            self._asked.set()

    async def _keep_fresh(self) -> None:
        while True:
            await self._look()
            self._looked.set()
            await asyncio.sleep(self._pause_s)
            if self.key is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._period_s):
                        await self._asked.wait()
            self._asked.clear()

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(self._fetch)
        except Exception as error:  # noqa: BLE001 - what a chain raises is not documented, and this task must not end
            # The last key stays: it may still be good, and the provider is the one who knows.
            told = str(error) if isinstance(error, NoKey) else type(error).__name__
            self._events.emit("provider.credentials_failed", error=told, has_key=self.key is not None)
            return
        if found.key != self.key:
            self.key = found.key
            self._events.emit(
                "provider.credentials_refreshed", source=found.source, temporary=found.key.token is not None
            )

    def _fetch(self) -> FoundKey:
        chain = self._chain
        if chain is None:
            chain = self._chain = self._open_chain()
        return chain.fetch()


def credentials_of(settings: ProviderSettings, events: Events) -> Credentials:
    """The configured key, or else the provider's default chain."""
    if settings.access_key_id and settings.access_key_secret:
        token = settings.security_token.get_secret_value() if settings.security_token else None
        return ConfiguredCredentials(
            AccessKey(settings.access_key_id, settings.access_key_secret.get_secret_value(), token)
        )
    return ChainCredentials(events)
