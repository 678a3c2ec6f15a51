"""What a cancel's answers mean, and from when on they hold."""

from datetime import timedelta

import pytest

from worker.core.limits.cancels import CLAIM_S, Cancel, meaning, until_certain
from worker.settings.load import load
from worker.settings.policy import lease_of


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (b"NOTHING", Cancel.CANCELLED),
        (b"SENT", Cancel.SENT),
        (b"CALLING", Cancel.CALLING),
        (b"UNKNOWN", Cancel.UNKNOWN),
    ],
)
def test_each_word_of_the_ledger_has_its_answer(told: bytes, expected: Cancel) -> None:
    assert meaning(told) is expected


def test_another_word_has_none() -> None:
    with pytest.raises(KeyError):
        meaning(b"PERHAPS")


@pytest.mark.parametrize("connect_s", [0.1, 3, 30])
def test_a_campaign_is_certain_after_claim_and_both_connections_and_within_the_lease(connect_s: float) -> None:
    connect = timedelta(seconds=connect_s)
    certain = until_certain(connect)
    lease = lease_of(load([], {}, {"provider.connect_timeout": f"{connect_s}s"}))

    assert certain > timedelta(seconds=CLAIM_S) + 2 * connect
    assert timedelta(seconds=CLAIM_S) + connect < lease, "or its claim would be taken for unknown while it is used"
