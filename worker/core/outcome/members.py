"""What one answer to a call with several messages means for each of them: its members.

The provider documents little here: one code for the whole call, the numbers that failed without a reason, a count of
the others. So nothing that is certain follows from one fact alone. A member that is wrongly taken for failed is sent
twice, one that is wrongly taken for accepted never.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from worker.core.outcome.outcome import ErrorClass, Failed, Fault, Reply, Scope

#: Smaller groups are not halved: their halves would be no groups.
_LEAST_HALVED: Final = 4
#: HTTP statuses with which whatever stands before the API refuses a call for its size.
_TOO_LARGE: Final = frozenset({413, 414, 431})
#: The same, when there is no code: a gateway's page about a request line that it does not read.
_BAD_REQUEST: Final = 400
_COUNT_OVER_LIMIT: Final = "MOBILE_COUNT_OVER_LIMIT"
#: Rows of codes that may be about the operation, where others of the account are allowed and there.
_OF_THE_OPERATION: Final = frozenset(
    {
        "FORBIDDEN_ACTION",
        "RAM_PERMISSION_DENY",
        "RAM_CHECK_FAILED",
        "Forbidden*",
        "InvalidAction*",
        "InvalidApi.NotFound",
        "UnsupportedOperation",
    }
)


class BatchReply(NamedTuple):
    """The facts of one answer to a call with several messages."""

    #: What every answer has; the message id and what else is of one message is not there.
    reply: Reply
    #: ``SuccessCount``; None when it is absent or cannot be read.
    success_count: int | None = None
    #: ``FailedList``, digits only; empty also when it is absent, None when it cannot be read.
    failed: tuple[str, ...] | None = ()
    #: ``MessageIdList``, whose order means nothing; None when it is absent or cannot be read.
    message_ids: tuple[str, ...] | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the API took the call, which it also does when every member failed."""
        return self.reply.code == "OK" and not self.reply.from_gateway


class Fate(Enum):
    """What became of a member."""

    ACCEPTED = auto()
    #: Certainly not accepted, for a reason that the answer does not tell.
    FAILED = auto()
    #: The answer contradicts itself, or tells too little.
    DOUBTFUL = auto()


class Resort(Enum):
    """What to do with the members of a call that was refused as a whole."""

    #: The outcome is that of every member, as it would be of a single message.
    NONE = auto()
    #: Each member goes alone, to learn its own code.
    SINGLES = auto()
    #: One of them may be at fault, nobody says which: each half goes in a call of its own.
    HALVES = auto()
    #: The call was too large for what stands before the API: the members wait again, and go in smaller calls.
    SMALLER = auto()


def fates(answer: BatchReply, numbers: Sequence[str]) -> tuple[Fate, ...]:
    """What became of each member of a call to *numbers* (digits, each once), in their order.

    S is the count of the accepted: ``SuccessCount``, or without it the length of a ``MessageIdList`` that has no id
    twice. F is the length of ``FailedList``, n that of *numbers*. A list is clean when it names members only, each
    once; an absent or empty one is clean, too.

    ==================  =============  =========  ========  ===========================================================
    ``FailedList``      counts         named      others    why
    ==================  =============  =========  ========  ===========================================================
    clean               S + F = n      FAILED     ACCEPTED  everything agrees
    clean               S + F < n      FAILED     DOUBTFUL  nothing speaks for the named; some others are in no list
    clean               S + F > n      DOUBTFUL   DOUBTFUL  somebody was counted as accepted and named as failed
    clean               S is unknown   DOUBTFUL   DOUBTFUL  no second fact
    foreign, repeated   any            DOUBTFUL   DOUBTFUL  it is not the list of this call, or means something else
    cannot be read      S = n = ids    -          ACCEPTED  two facts agree that there was no failure
    cannot be read      any other      -          DOUBTFUL  whoever failed may be in it
    ==================  =============  =========  ========  ===========================================================

    In an answer that is not OK everybody is doubtful; what it means is told by its code.
    """
    size = len(numbers)
    doubtful = (Fate.DOUBTFUL,) * size
    if not answer.is_ok:
        return doubtful
    ids = _distinct(answer.message_ids)
    if answer.failed is None:
        certain = size == answer.success_count and ids == size
        return (Fate.ACCEPTED,) * size if certain else doubtful
    accepted = ids if answer.success_count is None else answer.success_count
    named = frozenset(answer.failed)
    if accepted is None or not _is_clean(answer.failed, numbers):
        return doubtful
    surplus = accepted + len(named) - size
    if surplus > 0:
        return doubtful
    other = Fate.DOUBTFUL if surplus else Fate.ACCEPTED
    return tuple([Fate.FAILED if number in named else other for number in numbers])


def message_id_of(answer: BatchReply, members: Sequence[Fate]) -> str | None:
    """The message id of the member that was accepted, when it is the only one, and so is the id; otherwise None.

    The order of ``MessageIdList`` is not documented, so no id of several can be told to be of a certain member.
    """
    ids = answer.message_ids
    if ids is None or len(ids) != 1 or members.count(Fate.ACCEPTED) != 1 or Fate.DOUBTFUL in members:
        return None
    return ids[0]


def resort_of(answer: BatchReply | Fault, failed: Failed, size: int, halvings: int = 0) -> Resort:
    """What to do after the call for *size* members had *answer*, which the catalogue reads as *failed*.

    =======================================================  ==========================================================
    refused for                                              resort
    =======================================================  ==========================================================
    its size: HTTP 413, 414, 431; a page with HTTP 400;      SMALLER, or SINGLES when it had one member: it did not
    ``MOBILE_COUNT_OVER_LIMIT``                              reach the API, or was not taken by it
    a content, a recipient, a country or its limit           HALVES, once; then SINGLES. NONE when it had one member
    its form: class invalid                                  SINGLES: the fault may be that of the call, not of a member
    the operation: no right to it, or not offered            SINGLES: the account may send otherwise
    the account, the sender, the rate, a passing failure;    NONE
    an unknown outcome; no answer at all
    =======================================================  ==========================================================

    Args:
        answer: What came back.
        failed: What the catalogue makes of it.
        size: Members of the call.
        halvings: How often the group that they belong to was halved before.
    """
    if isinstance(answer, Fault):
        return Resort.NONE
    if _is_too_large(answer.reply, failed):
        return Resort.SMALLER if size > 1 else Resort.SINGLES
    row = failed.row
    if row.code in _OF_THE_OPERATION or row.error_class is ErrorClass.INVALID:
        return Resort.SINGLES
    if size == 1 or not _is_about_a_member(failed):
        return Resort.NONE
    return Resort.HALVES if not halvings and size >= _LEAST_HALVED else Resort.SINGLES


def _distinct(ids: tuple[str, ...] | None) -> int | None:
    """How many *ids* there are, when none comes twice."""
    return len(ids) if ids is not None and len(set(ids)) == len(ids) else None


def _is_clean(failed: Sequence[str], numbers: Sequence[str]) -> bool:
    """Whether *failed* names each of its numbers once, and each of them is one member."""
    named = frozenset(failed)
    return len(named) == len(failed) == sum([number in named for number in numbers])


def _is_too_large(reply: Reply, failed: Failed) -> bool:
    if failed.row.code == _COUNT_OVER_LIMIT:
        return True
    # With a code of the API itself, the call has passed whatever reads its size.
    before_the_api = reply.code is None or reply.from_gateway
    if reply.status in _TOO_LARGE:
        return before_the_api
    return reply.status == _BAD_REQUEST and reply.code is None and not reply.from_gateway


def _is_about_a_member(failed: Failed) -> bool:
    """Whether the code is about one message, its recipient or its country, of which a call has many."""
    match failed.row.error_class:
        case ErrorClass.CONTENT | ErrorClass.RECIPIENT | ErrorClass.LIMITED:
            searched = {Scope.RECIPIENT, Scope.COUNTRY}
            if failed.row.error_class is not ErrorClass.LIMITED:
                searched.add(Scope.REQUEST)
            return failed.row.scope in searched
        case _:
            return False
