"""Trying again until it works: the one loop of retries, tenacity's, for everything that waits for the broker."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar, cast

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never

from worker.core.decision.policy import Backoff
from worker.errors import WorkerError

#: The longest pause between two tries: a broker that comes back is found soon.
LONGEST_PAUSE: Final = timedelta(seconds=15)

_T = TypeVar("_T")
#: Seconds until the next try, and whether there is one; both are told the try that failed (1-based).
Wait: TypeAlias = Callable[[int], float]
Enough: TypeAlias = Callable[[WorkerError], bool]


async def until_it_works(
    attempt: Callable[[], Awaitable[_T]],
    *,
    on: tuple[type[WorkerError], ...],
    wait: Wait,
    tell: Callable[[WorkerError], None],
    enough: Enough | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> _T:
    """Make *attempt* until it raises none of *on*, and return what it returned.

    Args:
        attempt: What to try.
        on: After these errors it is tried again; any other is raised.
        wait: The pause after each try.
        tell: Hears every error after which it is tried again, before the pause.
        enough: Asked after the pause; when it says so, the error is raised after all.
        sleep: Waits so many seconds.

    Raises:
        WorkerError: the last error, when *enough* has said so.
    """
    last: list[WorkerError] = []

    async def once() -> _T:
        if last and enough is not None and enough(last[-1]):
            raise _Enough
        return await attempt()

    def before_sleep(state: RetryCallState) -> None:
        last[:] = [_failure(state)]
        tell(last[-1])

    trying = AsyncRetrying(
        sleep=sleep,
        stop=stop_never,
        wait=lambda state: wait(state.attempt_number),
        retry=retry_if_exception_type(on),
        before_sleep=before_sleep,
    )
    try:
        return cast("_T", await trying(once))
    except _Enough:
        raise last[-1] from last[-1].__cause__


def growing(first: timedelta, dice: Callable[[], float]) -> Wait:
    """Pauses that double from *first* to `LONGEST_PAUSE`, each shortened by up to a half by *dice* in [0, 1)."""
    pauses = Backoff(first=first, ceiling=max(LONGEST_PAUSE, first))
    return lambda failures: pauses.delay(failures, (1 + dice()) / 2).total_seconds()


class _Enough(Exception):  # noqa: N818 - it never leaves this file
    """It is not tried again."""


def _failure(state: RetryCallState) -> WorkerError:
    error: Any = state.outcome.exception() if state.outcome else None
    if not isinstance(error, WorkerError):
        raise TypeError(f"tried again after {type(error).__name__}")
    return error
