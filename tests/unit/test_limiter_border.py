"""What passes the border to Redis: LimiterUnavailable, and that somebody cancelled us."""

import asyncio

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.errors import LimiterUnavailable
from worker.limiter.border import sentence, translated, understood

REFUSED = "Redis does not allow the user of redis.url to"
REMEDY = "give it what `sms-worker config redis-acl` prints"


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("closed"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ConnectionResetError(104, "Connection reset by peer"),
        # uvloop's, on an idle connection that was reset
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
        StopAsyncIteration(),
        ValueError("invalid literal for int() with base 10: b'many'"),
        AttributeError("'NoneType' object has no attribute 'read'"),
        asyncio.IncompleteReadError(b"", 7),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_the_library_raises_is_a_limiter_that_cannot_be_used(error: BaseException) -> None:
    with pytest.raises(LimiterUnavailable), translated():
        raise error


async def test_who_is_cancelled_is_cancelled() -> None:
    async def wait() -> None:
        with translated():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_answer_that_cannot_be_read_is_none() -> None:
    @understood
    def read(reply: list[int]) -> int:
        return reply[1] + 1

    assert read([1, 2]) == 3
    for garbled in ([], [1, None], None, [1, b"x"]):
        with pytest.raises(LimiterUnavailable, match="cannot be understood"):
            read(garbled)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            NoPermissionError("User sms has no permissions to run the 'sadd' command"),
            "Redis does not allow the user of redis.url to run SADD: give it what `sms-worker config redis-acl` prints",
        ),
        (
            NoPermissionError("this user has no permissions to access one of the keys used as arguments"),
            f"{REFUSED} use the keys of redis.namespace: {REMEDY}",
        ),
        (
            ResponseError("The user executing the script can't run this command or subcommand script: 4711"),
            f"{REFUSED} do what is needed: {REMEDY}",
        ),
        (
            ResponseError("ACL failure in script: User u has no permissions to run the 'hset' command script: 4711"),
            f"{REFUSED} run HSET: {REMEDY}",
        ),
        (
            ResponseError("ACL failure in script: No permissions to access a key script: 4711, on @user_script:1."),
            f"{REFUSED} use the keys of redis.namespace: {REMEDY}",
        ),
        (
            NoPermissionError("No permissions to access a key"),
            f"{REFUSED} use the keys of redis.namespace: {REMEDY}",
        ),
        (AuthenticationError("WRONGPASS hunter2"), "Redis refuses the user or the password of redis.url"),
        (ResponseError("NOREPLICAS for {sms}:1:r:85251234567"), "Redis refuses: NOREPLICAS"),
        (ResponseError("wrong {sms}:1:r:85251234567"), "Redis refuses: ResponseError"),
    ],
)
def test_a_refusal_is_told_without_its_text(error: Exception, told: str) -> None:
    assert sentence(error) == told
