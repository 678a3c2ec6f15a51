"""Cancels: what an operator takes back before it is called for, and what can be promised about it.

A cancel is a tombstone in Redis. The script that claims a request looks at it in the same atomic step, so what is
claimed afterwards is refused. What was claimed before may be called for a moment later, or is being called for:

* For a request id the ledger says so, and the answer is what the ledger says.
* Nobody knows who of a campaign is claimed. So its cancel is answered only when every call that a claim from before
  could lead to has left: a claim that is not used within `CLAIM_S` is given back, and a call that finds no connection
  in time is not made.

Either way: once a cancel is answered, no call begins for what it says is cancelled.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final

#: A claim is used within so many seconds from the moment when it was asked for, or made again.
CLAIM_S: Final = 1.0
#: A call whose connection was just closing takes another one, with the same patience.
_CONNECTIONS: Final = 2
#: For the steps between, of a busy event loop.
_MARGIN: Final = timedelta(milliseconds=250)


class Cancel(StrEnum):
    """What a cancel does to a request id; whatever it is, no call for it begins afterwards."""

    #: It certainly was not sent, and will not be.
    CANCELLED = "cancelled"
    #: The provider accepted it before.
    SENT = "already sent"
    #: A call was claimed and may have begun. If it is not made, or refused, there is no other.
    CALLING = "call under way"
    #: A call brought no answer, so it may have been accepted. There is no other.
    UNKNOWN = "outcome unknown"


#: What cancel.lua says of an id.
_MEANINGS: Final = {
    b"NOTHING": Cancel.CANCELLED,
    b"SENT": Cancel.SENT,
    b"CALLING": Cancel.CALLING,
    b"UNKNOWN": Cancel.UNKNOWN,
}


def meaning(told: bytes) -> Cancel:
    """What the ledger's word for an id means for its cancel; raises KeyError for none of its words."""
    return _MEANINGS[told]


def until_certain(connect_timeout: timedelta) -> timedelta:
    """How long after its tombstone a campaign's cancel is certain; *connect_timeout* is that of the workers' calls.

    >>> until_certain(timedelta(seconds=3)).total_seconds()
    7.25
    """
    return timedelta(seconds=CLAIM_S) + _CONNECTIONS * connect_timeout + _MARGIN
