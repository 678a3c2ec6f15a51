"""A broker that closes a channel when a delivery waits for long: waiting is never a failure."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import Stack
from tests.makers import make_fields
from tests.system import running_system
from worker.core.message.lane import Lane
from worker.core.topology import DELIVERY_LIMIT

#: So long a delivery may wait, in milliseconds; RabbitMQ's own value is half an hour.
IMPATIENT, USUAL = 1_500, 1_800_000
#: So often RabbitMQ looks, in milliseconds.
LOOK, USUAL_LOOK = 500, 60_000


def let(stack: Stack, timeout: int, look: int) -> None:
    settings = f"application:set_env(rabbit, consumer_timeout, {timeout})"
    stack.rabbitmq.ctl("eval", f"{settings}, application:set_env(rabbit, channel_tick_interval, {look}).")


@pytest.fixture
def impatient(stack: Stack) -> Iterator[None]:
    let(stack, IMPATIENT, LOOK)
    yield
    let(stack, USUAL, USUAL_LOOK)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("impatient")
async def test_requests_that_wait_longer_than_the_broker_likes_are_sent_and_none_becomes_poison(
    amqp_url: str, redis_url: str
) -> None:
    """One call a second: the last request waits for more rounds than the delivery limit has."""
    count = 2 * DELIVERY_LIMIT
    async with running_system(amqp_url, redis_url, flags={"quota.send_message_to_globe": "1"}) as system:
        for number in range(count):
            await system.publish("notify", make_fields(Lane.NOTIFY, id=f"w-{number}", to=f"+8529{number:07}"))
        assert await system.settled(count, 200) == {"done": count}
        (told,) = system.lines("broker.impatient")
        assert (told["timeout_s"], told["patience_s"]) == (IMPATIENT / 1000, IMPATIENT / 2000)
        assert len(system.lines("broker.lost")) <= len(Lane)
