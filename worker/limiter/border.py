"""The border to Redis: whatever the library raises or the other end says, on this side it is LimiterUnavailable.

What a library may raise is not listed anywhere: on an idle connection that was reset uvloop raises RuntimeError, and an
answer that is no answer can end as any exception of Python. So here every Exception counts, and so that no bug of ours
hides behind it, a block under these holds calls of the library, or the reading of an answer, and nothing else.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from types import TracebackType
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.errors import LimiterUnavailable
from worker.limiter.rights import refused_command
from worker.limiter.scripts import Script

#: The command in Redis' own words for what a user may not do.
_REFUSED_COMMAND: Final = re.compile(r"run the '([A-Za-z|-]{1,40})' command")
#: The beginnings of what Redis 6 and 7.0, and Redis 8 and Valkey 8, say when a script may not do something: there it is
#: no NOPERM.
_REFUSED_IN_SCRIPT: Final = ("The user executing the script can't", "ACL failure in script")
#: One, or some, as each of them says it.
_REFUSED_KEY: Final = re.compile(r"\bkeys?\b")


@contextmanager
def translated(script: Script | None = None) -> Iterator[None]:
    """Around calls of the library, of *script* if they run one: raise LimiterUnavailable for whatever they raise.

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
        raise LimiterUnavailable(sentence(error, script)) from None


class _Understood(ContextDecorator):
    """A class, because every answer passes here: a generator costs four times as much."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, LimiterUnavailable):
            name = type(error).__name__
            raise LimiterUnavailable(f"Redis answered what cannot be understood ({name}); is it a Redis?") from error


#: Around the reading of an answer, or a decorator of who reads: one that cannot be read is no answer.
understood: Final = _Understood()


def sentence(error: Exception, script: Script | None = None) -> str:
    """What went wrong, with *script* if it was in one.

    A refusal's text may quote a command, and with it somebody's key: only its kind is told.
    """
    match error:
        case AuthenticationError():
            return "Redis refuses the user or the password of redis.url"
        case RedisConnectionError() | RedisTimeoutError() | OSError():
            return f"Redis cannot be reached: {error}"
        case ResponseError():
            return _refusal(error, script)
        case RedisError():
            return f"Redis refuses: {type(error).__name__}"
        case _:
            return f"Redis cannot be reached: the connection broke ({type(error).__name__})"


def _refusal(error: ResponseError, script: Script | None) -> str:
    text = str(error)
    if isinstance(error, NoPermissionError) or text.startswith(_REFUSED_IN_SCRIPT):
        return _not_permitted(text, script)
    first = text.split(" ", 1)[0]
    return f"Redis refuses: {first if first.isalpha() and first.isupper() else type(error).__name__}"


def _not_permitted(refusal: str, script: Script | None) -> str:
    """What to do about a user without a right: *refusal* names the command, or the line of *script* that has it."""
    found = _REFUSED_COMMAND.search(refusal)
    command = found[1] if found else script and refused_command(script, refusal)
    if found is None and _REFUSED_KEY.search(refusal):
        what = "use the keys of redis.namespace"
    elif command:
        what = f"run {command.upper()}"
    else:
        what = f"do what {script.name}.lua does" if script else "do what is needed"
    return f"Redis does not allow the user of redis.url to {what}: give it what `sms-worker config redis-acl` prints"
