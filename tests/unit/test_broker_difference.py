"""What the broker's refusals say."""

import pytest

from worker.broker.difference import Difference
from worker.core.message.lane import Lane
from worker.core.topology import Exchange, Queue, Topology

TOPOLOGY = Topology()


TTL = (
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'sms.send.otp' in vhost '/': "
    "received the value '2000' of type 'signedint' but current is none"
)
DURABLE = (
    "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'sms.send.otp' in vhost 'a': "
    "received 'true' but current is 'false'"
)
NEW = "PRECONDITION_FAILED - something new"


@pytest.mark.parametrize(
    ("refusal", "argument", "expected", "actual"),
    [
        (TTL, "x-message-ttl", "the value '2000' of type 'signedint'", "none"),
        (DURABLE, "durable", "'true'", "'false'"),
        (NEW, "declaration", "", NEW),
    ],
)
def test_a_refusal_names_the_argument_and_both_values(refusal: str, argument: str, expected: str, actual: str) -> None:
    queue = Queue(TOPOLOGY.lane_queue(Lane.OTP), {})

    difference = Difference.told(queue, refusal, TOPOLOGY)

    assert difference == Difference("queue", "sms.send.otp", argument, expected, actual, is_fatal=True)
    assert actual in difference.sentence


def test_only_how_much_is_kept_of_events_may_differ() -> None:
    refusal = "inequivalent arg '{}' for queue 'q' in vhost '/': received '1' but current is '2'"
    fatal = {
        (name, argument): Difference.told(Queue(name, {}), refusal.format(argument), TOPOLOGY).is_fatal
        for name in (TOPOLOGY.done_queue, "sms.dead.unknown")
        for argument in ("x-max-length", "x-queue-type")
    }

    assert fatal == {
        ("sms.done", "x-max-length"): False,
        ("sms.done", "x-queue-type"): True,
        ("sms.dead.unknown", "x-max-length"): True,
        ("sms.dead.unknown", "x-queue-type"): True,
    }


def test_what_is_missing_says_how_to_make_it() -> None:
    difference = Difference.missing(Exchange("sms.send", "direct"))

    assert difference.sentence == "exchange sms.send does not exist; run: sms-worker topology declare"
    assert difference.is_fatal
