"""What workers told of themselves, as it is read."""

import pytest

from worker.core.message.lane import Lane
from worker.core.standing import Standing
from worker.limiter.standings import fresh
from worker.limiter.throttles import lately

NOW_US = 1_764_000_000_000_000
TOLD = b'{"in_hand":{"otp":3},"oldest_s":{"otp":1.5},"braked":"why","standstill":null,"draining":false}'


def test_what_was_told_lately_is_read() -> None:
    told = {b"a": b"%d %s" % (NOW_US - 4_000_000, TOLD)}

    assert fresh(told, NOW_US) == {"a": Standing({Lane.OTP: 3}, {Lane.OTP: 1.5}, "why")}


@pytest.mark.parametrize(
    "text",
    [
        b"%d %s" % (NOW_US - 6_000_000, TOLD),
        b"%d %s" % (NOW_US + 6_000_000, TOLD),
        b"%d nonsense" % NOW_US,
        b"%d" % NOW_US,
        b"nonsense",
        b"",
    ],
    ids=["old", "of the future", "no standing", "nothing but an instant", "no instant", "nothing"],
)
def test_what_is_old_or_cannot_be_read_counts_no_more(text: bytes) -> None:
    assert fresh({b"a": text, b"b": b"%d {}" % NOW_US}, NOW_US) == {"b": Standing()}


def test_fields_of_another_version_are_left_alone() -> None:
    assert fresh({b"a": b'%d {"new": 1, "draining": true}' % NOW_US}, NOW_US) == {"a": Standing(draining=True)}


def test_throttles_of_the_last_minute_count() -> None:
    assert lately({39: 1, 40: 2, 41: 4, 100: 8, 101: 16}, 100) == 12
