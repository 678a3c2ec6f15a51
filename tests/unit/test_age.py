"""How old the messages in hand are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.core.message.age import oldest_s
from worker.core.message.decode import RawMessage
from worker.core.message.lane import Lane

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_the_oldest_of_each_lane_counts() -> None:
    messages = [
        RawMessage(b"", Lane.OTP, timestamp=ago(3)),
        RawMessage(b"", Lane.OTP, timestamp=ago(9)),
        RawMessage(b"", Lane.OTP, timestamp=ago(5)),
        RawMessage(b"", Lane.NOTIFY, timestamp=ago(100)),
    ]

    assert oldest_s(messages, NOW) == {Lane.OTP: 9, Lane.NOTIFY: 100}


def test_what_was_delayed_is_as_old_as_its_header_says() -> None:
    raw = RawMessage(b"", Lane.OTP, {"x-sms-published": ago(60).isoformat()}, timestamp=ago(3))

    assert oldest_s([raw], NOW) == {Lane.OTP: 60}


@pytest.mark.parametrize(
    "raw",
    [
        RawMessage(b"", Lane.OTP),
        RawMessage(b"", Lane.OTP, timestamp=ago(-1)),
        RawMessage(b"", Lane.OTP, timestamp=datetime(1969, 1, 1, tzinfo=UTC)),
        RawMessage(b"", Lane.OTP, {"x-sms-published": "yesterday"}),
        RawMessage(b"", Lane.OTP, {"x-sms-published": 5}),
    ],
    ids=["nothing", "the future", "before 1970", "no instant", "no text"],
)
def test_nonsense_tells_nothing(raw: Any) -> None:
    assert oldest_s([raw], NOW) == {}
