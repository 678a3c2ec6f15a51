"""Every API code of the provider, driven through the whole system: each lands where its class says."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.limits.calendar import SINGAPORE
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import ErrorClass, Table
from worker.sandbox.magic import TABLE

_TSV: Final = Path(__file__).parents[1] / "data" / "error-codes.tsv"
with _TSV.open(newline="", encoding="utf-8") as _file:
    CODES: Final = [
        row["code"] for row in csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["table"] == "api"
    ]
#: Where a request of class NOTIFY ends; ladder: it waits in the retry-delay queues; lane: it waits in its own queue.
ENDS: Final = {
    ErrorClass.ACCEPTED: "done",
    ErrorClass.THROTTLED: "lane",
    ErrorClass.ACCOUNT: "lane",
    ErrorClass.TRANSIENT: "ladder",
    ErrorClass.QUERY: "ladder",
    ErrorClass.LIMITED: "ladder",
    ErrorClass.INVALID: "dead.invalid",
    ErrorClass.RECIPIENT: "dead.recipient",
    ErrorClass.CONTENT: "dead.content",
}
#: The sandbox answers this row in the gateway's shape, as the provider does.
AS_ANSWERED: Final = {"Specified AccessKeyId is not found": "InvalidAccessKeyId.NotFound"}


def magic_number(code: str) -> str:
    """The number whose recipient makes the sandbox answer *code*, always."""
    answer = AS_ANSWERED.get(code, code)
    endings = [ending for ending, behaviour in TABLE.items() if behaviour.code == answer and ending.startswith("990")]
    return f"8529000{endings[0]}"


def test_there_are_36_codes() -> None:
    assert len(CODES) == 36


@pytest.mark.parametrize("code", CODES)
async def test_each_code_lands_where_its_class_says(code: str, amqp_url: str, redis_url: str) -> None:
    error_class = catalog().rows[Table.API, code].error_class
    long = {"retry.first": "1h", "retry.ceiling": "1h", "lanes.notify.lifetime": "40d"}
    async with running_system(amqp_url, redis_url, flags=long) as system:
        body = {"id": "the-one", "to": magic_number(code), "type": "NOTIFY", "text": "hello"}
        await system.publish("notify", body)
        await {
            "done": _done,
            "lane": _in_its_lane,
            "ladder": _in_the_ladder,
        }.get(ENDS[error_class], _dead)(system, code, error_class)


async def _done(system: System, code: str, error_class: ErrorClass) -> None:
    assert await system.settled(1) == {"done": 1}
    assert system.sandbox.account.accepted == 1
    assert (code, error_class) == ("OK", ErrorClass.ACCEPTED)


async def _dead(system: System, code: str, error_class: ErrorClass) -> None:
    assert await system.settled(1) == {ENDS[error_class]: 1}
    letter = await system.take(system.topology.dead_queue(error_class))
    assert letter.headers["x-sms-code"] == code
    assert letter.headers["x-sms-remedy"]
    assert letter.headers["x-sms-attempts"] == 1
    assert system.sandbox.account.calls == 1


async def _in_the_ladder(system: System, code: str, error_class: ErrorClass) -> None:
    async def waits() -> dict[str, int]:
        return {name: depth for name, depth in (await system.depths()).items() if name.startswith("delay.")}

    await eventually(waits, because="the request waits in the ladder")
    (line,) = system.lines("delivery.settled")
    assert (line["disposition"], line["code"], line["error_class"]) == ("retry", code, error_class.value)
    assert system.sandbox.account.calls == 1
    if error_class is ErrorClass.LIMITED:
        now = datetime.now(UTC).astimezone(SINGAPORE)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        first = (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        reopens = first if code == "ALERT_LIMIT_MONTH" else midnight
        assert timedelta(0) <= timedelta(seconds=line["delay_s"]) - (reopens - now) + timedelta(seconds=30)
        assert timedelta(seconds=line["delay_s"]) - (reopens - now) < timedelta(minutes=2)


async def _in_its_lane(system: System, code: str, error_class: ErrorClass) -> None:
    """It is tried again from its lane: never dead, no attempt counted; for an account's fault, by single probes."""
    await eventually(lambda: system.sandbox.account.calls >= 2, because="a second call")
    lines = system.lines("delivery.settled")
    assert {line["code"] for line in lines} == {AS_ANSWERED.get(code, code)}
    assert {(line["disposition"], line["delay_s"], line["attempt"]) for line in lines} == {("retry", 0.0, 0)}
    if error_class is ErrorClass.ACCOUNT:
        await eventually(lambda: system.app.snapshot().held, because="the account is held")
        assert system.lines("hold.set")
    assert not [name for name in await system.depths() if name.startswith("dead.")]
