"""The broker's patience with deliveries that are not settled: its ``consumer_timeout``, told when it has run out."""

import re
from datetime import timedelta
from typing import Final

#: RabbitMQ 3.10 to 4.x: "delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. …"
_TOLD: Final = re.compile(r"acknowledge?ment .*timed out.*[Tt]imeout value used: (\d{1,15}) ms", re.DOTALL)


def ack_timeout(reason: str) -> timedelta | None:
    """The timeout for which RabbitMQ closed a channel, when *reason*, in its words, says so.

    >>> ack_timeout("… delivery acknowledgement on channel 1 timed out. Timeout value used: 2000 ms. This …")
    datetime.timedelta(seconds=2)
    >>> ack_timeout("PRECONDITION_FAILED - unknown delivery tag 4711")
    """
    told = _TOLD.search(reason)
    return timedelta(milliseconds=int(told[1])) if told else None
