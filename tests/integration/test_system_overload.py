"""More than can be sent in time, seen from the queues of a running worker."""

from datetime import UTC, datetime, timedelta

from tests.makers import make_fields
from tests.system import running_system
from worker.core.instant import to_the_millisecond
from worker.core.outcome.outcome import ErrorClass

RATE = 2
LIVES_S = 8
TOTAL = 40


async def test_who_cannot_be_in_time_is_expired_long_before_its_deadline(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags={"quota.send_message_to_globe": RATE}) as system:
        await system.publish("otp", make_fields(id="first"))
        assert await system.settled(1) == {"done": 1}, "slots are granted"
        ends = datetime.now(UTC) + timedelta(seconds=LIVES_S)
        for number in range(TOTAL):
            fields = make_fields(id=f"r-{number}", to=f"+8529{number:07}", deadline=to_the_millisecond(ends))
            await system.publish("otp", fields)
        ended = await system.settled(1 + TOTAL)
        expired = [line for line in system.lines("delivery.settled") if line.get("error_class") == ErrorClass.EXPIRED]
        accepted = system.sandbox.account.accepted

    long_before = to_the_millisecond(ends - timedelta(seconds=LIVES_S / 2))
    assert ended == {"done": accepted, "dead.expired": TOTAL + 1 - accepted}
    assert RATE * (LIVES_S - 2) <= accepted <= 1 + RATE * LIVES_S
    assert sum(line["time"] < long_before for line in expired) >= TOTAL - RATE * (LIVES_S + 1)
