"""The border to Redis: whatever the library raises or the other end says, on this side it is LimiterUnavailable.

What a library may raise is not listed anywhere: on an idle connection that was reset uvloop raises RuntimeError, and an
answer that is no answer can end as any exception of Python. So here every Exception counts, and so that no bug of ours
hides behind it, a block under these holds calls of the library, or the reading of an answer, and nothing else.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.errors import LimiterUnavailable

#: The command in Redis' own words for what a user may not do.
_REFUSED_COMMAND: Final = re.compile(r"'([A-Za-z|-]{1,40})' command")


@contextmanager
def translated() -> Iterator[None]:
    """Around calls of the library: raise LimiterUnavailable for whatever they raise.

    That somebody cancelled the running task passes; CancelledError that a dead connection throws does not.
    """
    try:
        yield
    except LimiterUnavailable:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise LimiterUnavailable("Redis cannot be reached: the connection broke") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise LimiterUnavailable(sentence(error)) from None


@contextmanager
def understood() -> Iterator[None]:
    """Around the reading of an answer, or a decorator of who reads: one that cannot be read is no answer."""
    try:
        yield
    except LimiterUnavailable:
        raise
    except Exception as error:
        name = type(error).__name__
        raise LimiterUnavailable(f"Redis answered what cannot be understood ({name}); is it a Redis?") from error


def sentence(error: Exception) -> str:
    """What went wrong. A refusal's text may quote a command, and with it somebody's key: only its kind is told."""
    match error:
        case AuthenticationError():
            return "Redis refuses the user or the password of redis.url"
        case RedisConnectionError() | RedisTimeoutError() | OSError():
            return f"Redis cannot be reached: {error}"
        case NoPermissionError():
            return not_permitted(_REFUSED_COMMAND.search(str(error)))
        case ResponseError():
            first = str(error).split(" ", 1)[0]
            return f"Redis refuses: {first if first.isalpha() and first.isupper() else type(error).__name__}"
        case RedisError():
            return f"Redis refuses: {type(error).__name__}"
        case _:
            return f"Redis cannot be reached: the connection broke ({type(error).__name__})"


def not_permitted(command: "re.Match[str] | None") -> str:
    """What to do about a user without a right, for the *command* that was found in the refusal."""
    what = f"run {command[1].upper()}" if command else "do what a script does"
    return f"Redis does not allow the user of redis.url to {what}: give it what `sms-worker config redis-acl` prints"
