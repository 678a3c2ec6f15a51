"""From events to metrics: what each event counts."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from worker.core.limits.ledger import ID_REUSED
from worker.core.outcome.outcome import ErrorClass
from worker.telemetry.events import Event, Level
from worker.telemetry.metric import Instruments, Series

_Rule: TypeAlias = Callable[[Mapping[str, Any]], None]
#: So many sets of series are remembered: one for each code that answers come with.
_MOST_REMEMBERED: Final = 1_024


class _OfDelivery(NamedTuple):
    """What every settled delivery changes; None where its disposition says nothing."""

    deliveries: Series
    in_hand: Series
    queue: Series | None
    segments: Series | None


class _OfCall(NamedTuple):
    """What every call changes."""

    calls: Series
    slots: Series
    wait: Series
    duration: Series
    lateness: Series


class Feed:
    """Counts events; a sink of `Telemetry`."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._count = instruments.count
        self._events = {level: instruments.series("sms_events_total", level) for level in Level}
        #: Bounded, because a code is whatever the provider answers.
        self._deliveries = lru_cache(_MOST_REMEMBERED)(self._find_deliveries)
        self._calls = lru_cache(_MOST_REMEMBERED)(self._find_calls)
        self._rules: dict[str, _Rule] = {
            "delivery.settled": self._settled,
            "provider.called": self._called,
            "delivery.unsettled": lambda given: self._count("sms_unsettled_total", given.get("lane")),
            "delivery.forged": lambda given: self._count(
                "sms_forged_headers_total", given.get("lane"), by=given.get("headers", 0)
            ),
            "slot.burnt": lambda given: self._count("sms_slots_total", given.get("operation"), "burnt"),
            "slot.unused": lambda given: self._count("sms_slots_total", given.get("operation"), "unused"),
            "limiter.throttled": lambda given: self._count("sms_throttled_total", given.get("operation")),
            "provider.unlisted_code": lambda _: self._count("sms_unlisted_codes_total"),
            "provider.credentials_failed": lambda _: self._count("sms_credentials_failed_total"),
            "hold.set": lambda given: self._count("sms_holds_total", given.get("scope"), given.get("code")),
            "hold.probe": lambda given: self._count("sms_hold_probes_total", given.get("scope")),
            "broker.unconfirmed": lambda _: self._count("sms_unconfirmed_total"),
            "broker.unroutable": lambda _: self._count("sms_unconfirmed_total"),
            "broker.lost": lambda given: self._count("sms_broker_lost_total", given.get("role")),
            "limiter.unavailable": lambda _: self._count("sms_limiter_lost_total"),
            "limiter.emptied": lambda _: self._count("sms_limiter_epochs_total"),
            "limiter.restarted": lambda _: self._count("sms_limiter_epochs_total"),
            "limiter.clock": lambda _: self._count("sms_limiter_epochs_total"),
            "limits.shadowed": lambda given: self._count("sms_shadow_refused_total", given.get("key")),
            "pipeline.failed": lambda _: self._count("sms_internal_errors_total"),
            "telemetry.failed": lambda given: self._count("sms_telemetry_failures_total", given.get("sink")),
        }

    def __call__(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Count *event*."""
        with self._instruments.lock:
            self._events[event.level].add()
        rule = self._rules.get(event.name)
        if rule is not None:
            rule(fields)

    def _settled(self, given: Mapping[str, Any]) -> None:
        lane, disposition, error_class = given.get("lane"), given.get("disposition"), given.get("error_class")
        series, total_s, segments = self._deliveries(lane, disposition, error_class), given.get("total_s"), 0
        if disposition == "done" and not given.get("repeated"):
            segments = given.get("segments") or 0
        with self._instruments.lock:
            series.deliveries.add()
            series.in_hand.observe(total_s)
            if "queued_s" in given and series.queue is not None:
                series.queue.observe(given["queued_s"] + (total_s or 0.0))
            if segments and series.segments is not None:
                series.segments.add(segments)
        if given.get("redelivered"):
            self._count("sms_redelivered_total", lane)
        if given.get("repeated"):
            self._count("sms_repeated_total", lane)
        if given.get("code") == ID_REUSED:
            self._count("sms_ids_reused_total", lane)
        if disposition == "retry" and error_class == ErrorClass.UNKNOWN:
            self._count("sms_unknown_resent_total", lane)

    def _find_deliveries(self, lane: object, disposition: object, error_class: object) -> _OfDelivery:
        series = self._instruments.series
        return _OfDelivery(
            series("sms_deliveries_total", lane, disposition, error_class),
            series("sms_in_hand_seconds", lane),
            series("sms_queue_seconds", lane) if disposition in {"done", "dead"} else None,
            series("sms_segments_total", lane) if disposition == "done" else None,
        )

    def _find_calls(self, operation: object, code: object, error_class: object, lane: object) -> _OfCall:
        series = self._instruments.series
        return _OfCall(
            series("sms_calls_total", operation, code, error_class),
            series("sms_slots_total", operation, "used"),
            series("sms_wait_seconds", lane),
            series("sms_call_seconds", operation),
            series("sms_slot_lateness_seconds", operation),
        )

    def _called(self, given: Mapping[str, Any]) -> None:
        series = self._calls(given.get("operation"), given.get("code"), given.get("error_class"), given.get("lane"))
        with self._instruments.lock:
            series.calls.add()
            series.slots.add()
            series.wait.observe(given.get("waited_s"))
            series.duration.observe(given.get("duration_s"))
            series.lateness.observe(given.get("lateness_s"))
