"""Every event that this program tells, in one table; code names them through ``ports.Events.emit``.

Rules of this file. A name is ``<what>.<happened>``. Fields are closed sets, and none may hold a phone number or the
text of a message; ``request_id`` is the publisher's own name for a request and may be told. Fields that end in ``_s``
are seconds. ``error`` is an exception object: its type and place are told, its text is not, because it may quote
anything; or a sentence of ours. One line per delivery is info; what happens once per call is debug.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How loud an event is; iterating gives the quietest first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the table in ``events.py``."""

    name: str
    level: Level
    #: What happened, for people.
    sentence: str
    #: Every field that may be given; none must be.
    fields: frozenset[str]
    #: Whether a person must look at it: then it goes to Sentry too.
    reported: bool = False
    #: Whether its line carries the sentence: it is read by somebody who does not know the names.
    explained: bool = False


_DEBUG, _INFO, _WARNING, _ERROR = Level

#: What is held. A subject is a sender ID, which is the company's own name, or a calling code.
_HOLD: Final = ("scope", "subject", "code")


def _event(
    name: str, level: Level, sentence: str, *fields: str, reported: bool = False, explained: bool = False
) -> Event:
    return Event(name, level, sentence, frozenset(fields), reported, explained or level in {_WARNING, _ERROR})


_TABLE: Final = (
    # -- the process
    _event("worker.started", _INFO, "The worker takes messages.", "version", "lanes", "settings", "pid", "duration_s"),
    _event("worker.draining", _INFO, "Intake has stopped; what is in hand is finished.", "signal", "in_hand"),
    _event("worker.stopped", _INFO, "The worker has left.", "exit_code", "in_hand", "duration_s"),
    _event("worker.second_signal", _WARNING, "A second signal: leaving now; what is in hand comes again.", "signal"),
    _event("settings.weak", _WARNING, "An address lets others read, or answer in its place.", "key", "option"),
    # -- the broker; role is consume, publish or operate
    _event("broker.connected", _INFO, "RabbitMQ is connected.", "role", "version", "duration_s"),
    _event("broker.lost", _WARNING, "The connection to RabbitMQ broke; it is tried again.", "role", "kind", "error"),
    _event("broker.blocked", _WARNING, "RabbitMQ takes no publishes: an alarm of memory or disk.", "role", "reason"),
    _event("broker.unblocked", _INFO, "RabbitMQ takes publishes again.", "role", "duration_s"),
    _event("broker.differs", _WARNING, "The topology differs in a way that loses nothing.", "difference"),
    _event(
        "broker.failed",
        _ERROR,
        "A connection to RabbitMQ ended by an error that none should end by; it is made anew.",
        *("role", "kind", "error"),
        reported=True,
    ),
    _event(
        "broker.impatient",
        _ERROR,
        "RabbitMQ closed a channel because a delivery waited longer than its consumer_timeout: requests wait shorter "
        "in this worker from now on. Set consumer_timeout to at least twice worker.patience.",
        *("timeout_s", "patience_s"),
        reported=True,
    ),
    _event(
        "broker.unconfirmed",
        _WARNING,
        "A publish was not confirmed; its delivery is not acknowledged, and it is published again while that is open.",
        *("lane", "request_id", "kind", "exchange", "error"),
    ),
    _event(
        "broker.unroutable",
        _ERROR,
        "RabbitMQ has no queue for what was published: a queue or a binding is missing. Where the worker may declare, "
        "it does so again; else run: sms-worker topology declare.",
        *("lane", "request_id", "exchange", "key", "error"),
        reported=True,
    ),
    _event(
        "broker.unpublishable",
        _ERROR,
        "RabbitMQ closed the channel for a message each time: it is put to rest as poison, without the publisher's "
        "headers.",
        *("lane", "request_id", "exchange"),
        reported=True,
    ),
    # -- how much is let in
    _event(
        "brake.set",
        _ERROR,
        "Too much goes wrong that may be our own fault: intake pauses.",
        *("internal", "dead", "settled", "error_class", "code", "pause_s"),
        reported=True,
    ),
    _event("brake.trial", _INFO, "The pause is over; a few are let in to see whether it has become better.", "most"),
    _event("brake.released", _INFO, "The trial found no more than is borne: intake goes on.", "settled", "duration_s"),
    _event("intake.paused", _WARNING, "Nothing can be sent for now: what waits is back in its queues.", "reason"),
    _event("intake.resumed", _INFO, "Sending is possible again: intake goes on.", "reason"),
    # -- the limiter
    _event("limiter.available", _INFO, "Redis answers; sending may go on.", "duration_s"),
    _event("limiter.unavailable", _ERROR, "Redis cannot be used: nothing is sent until it answers.", "kind", "error"),
    _event(
        "limiter.may_evict",
        _ERROR,
        "Redis may delete limits when its memory is full: set maxmemory-policy noeviction.",
        "policy",
        reported=True,
    ),
    _event(
        "limiter.untold",
        _ERROR,
        "Redis could not be told in time what became of calls: their ids could be sent again, or die as unknown.",
        "calls",
        reported=True,
    ),
    # Redis' memory of what was granted; sending waits pause_s, so that what may be forgotten leaves its second
    _event(
        "limiter.new",
        _INFO,
        "A new Redis, or one that was emptied before this worker came: limits begin, and sending does after a pause.",
        "pause_s",
        explained=True,
    ),
    _event(
        "limiter.emptied", _ERROR, "Redis was emptied: limits begin anew, and sending does after a pause.", "pause_s"
    ),
    _event("limiter.restarted", _WARNING, "Redis restarted with its data: sending goes on after a pause.", "pause_s"),
    _event("limiter.clock", _ERROR, "Redis' clock was set back: sending goes on after a pause.", "pause_s"),
    _event(
        "limiter.throttled",
        _WARNING,
        "The provider throttled a call; the shared bucket slows down.",
        *("operation", "rate", "retry_after_s"),
    ),
    # -- limits that an operator changes while workers run
    _event(
        "limits.changed",
        _INFO,
        "A limit that an operator changed takes force in this worker, or has ended.",
        *("key", "before", "after", "shadow"),
        explained=True,
    ),
    _event(
        "limits.refused",
        _ERROR,
        "Limits that an operator changed do not go with this worker's configuration: it keeps those that it has.",
        "reason",
        reported=True,
    ),
    _event(
        "limits.unreadable",
        _ERROR,
        "What Redis has for limits that an operator changed cannot be read: this worker keeps those that it has.",
        "reason",
        reported=True,
    ),
    _event(
        "limits.unknown",
        _WARNING,
        "This version cannot change some of the limits that an operator changed: it applies the others.",
        "keys",
    ),
    _event("limits.shadowed", _DEBUG, "A message was admitted that the shadow of a limit refuses.", "key", "limit"),
    # -- holds of the account, of senders and of countries
    _event(
        "hold.set",
        _ERROR,
        "Nothing of this scope can be sent: its messages wait.",
        *(*_HOLD, "remedy", "probe_in_s", "ends_in_s"),
        reported=True,
    ),
    _event("hold.lifted", _INFO, "A probe was accepted: messages of this scope are sent again.", *_HOLD, "duration_s"),
    _event("hold.probe", _INFO, "One call tests whether the hold can be lifted.", *_HOLD, "operation"),
    # -- the provider
    _event(
        "provider.called",
        _DEBUG,
        "A call was made.",
        *("operation", "lane", "code", "error_class", "waited_s", "duration_s", "lateness_s"),
    ),
    _event(
        "batch.called",
        _DEBUG,
        "The provider took a batch call; members that it names as failed go alone to learn why.",
        *("members", "accepted", "failed", "doubtful"),
    ),
    _event(
        "batch.refused",
        _DEBUG,
        "A batch call was not taken; the resort says how its members are tried again.",
        *("members", "resort", "code", "error_class"),
    ),
    _event("provider.unlisted_code", _ERROR, "The catalogue does not list this code.", "code", reported=True),
    _event("provider.credentials_refreshed", _INFO, "New credentials are in use.", "source", "temporary"),
    _event("provider.credentials_failed", _ERROR, "No credentials could be had.", "has_key", "error"),
    _event("slot.burnt", _DEBUG, "A slot of the quota was not used in time.", "operation", "lane"),
    _event("slot.unused", _DEBUG, "A slot of the quota found nobody waiting.", "operation", "lane"),
    # -- one delivery
    _event(
        "delivery.settled",
        _INFO,
        "The closing line of a delivery.",
        *("lane", "request_id", "disposition", "error_class", "code", "attempt", "retries", "delay_s", "reason"),
        # First publication to this reception; reception to settled.
        *("queued_s", "total_s"),
        *("redelivered", "segments", "message_id"),
        # Unknown calls, when there were any; whether the ledger knew the outcome and no call was made.
        *("unknowns", "repeated"),
    ),
    _event(
        "delivery.forged",
        _DEBUG,
        "A publisher set headers that only workers may write; they are left out.",
        *("lane", "headers"),
    ),
    _event(
        "delivery.unsettled",
        _WARNING,
        "A delivery was left to RabbitMQ unsettled: it comes again, or is buried as poison after too many deliveries.",
        *("lane", "request_id", "kind", "error"),
    ),
    _event(
        "pipeline.failed",
        _ERROR,
        "This program failed on a request, which is dead-lettered as internal.",
        *("error_id", "exception", "error", "lane", "request_id"),
        reported=True,
    ),
    # -- telemetry itself
    _event("library.warned", _WARNING, "A library warned.", "logger", "text", "error"),
    _event("library.failed", _ERROR, "A library reported an error.", "logger", "text", "error"),
    _event("log.dropped", _WARNING, "Lines before this one could not be written and are gone.", "lines"),
    _event("telemetry.failed", _ERROR, "An event could not be told; said once per kind.", "sink", "kind", "about"),
)

#: Every event, by name.
EVENTS: Final[Mapping[str, Event]] = {event.name: event for event in _TABLE}
