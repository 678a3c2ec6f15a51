"""From events to metrics: what each event counts."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from worker.core.limits.ledger import ID_REUSED
from worker.core.outcome.outcome import ErrorClass
from worker.telemetry.events import Event
from worker.telemetry.metric import Instruments

_Rule: TypeAlias = Callable[[Mapping[str, Any]], None]


class Feed:
    """Counts events; a sink of `Telemetry`."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._count = instruments.count
        self._observe = instruments.observe
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
            "pipeline.failed": lambda _: self._count("sms_internal_errors_total"),
            "telemetry.failed": lambda given: self._count("sms_telemetry_failures_total", given.get("sink")),
        }

    def __call__(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Count *event*."""
        self._count("sms_events_total", event.level)
        rule = self._rules.get(event.name)
        if rule is not None:
            rule(fields)

    def _settled(self, given: Mapping[str, Any]) -> None:
        lane, disposition, error_class = given.get("lane"), given.get("disposition"), given.get("error_class")
        self._count("sms_deliveries_total", lane, disposition, error_class)
        self._observe("sms_in_hand_seconds", given.get("total_s"), lane)
        if given.get("redelivered"):
            self._count("sms_redelivered_total", lane)
        if disposition in {"done", "dead"} and "queued_s" in given:
            self._observe("sms_queue_seconds", given["queued_s"] + given.get("total_s", 0.0), lane)
        if given.get("repeated"):
            self._count("sms_repeated_total", lane)
        elif disposition == "done" and given.get("segments"):
            self._count("sms_segments_total", lane, by=given["segments"])
        if given.get("code") == ID_REUSED:
            self._count("sms_ids_reused_total", lane)
        if disposition == "retry" and error_class == ErrorClass.UNKNOWN:
            self._count("sms_unknown_resent_total", lane)

    def _called(self, given: Mapping[str, Any]) -> None:
        operation = given.get("operation")
        self._count("sms_calls_total", operation, given.get("code"), given.get("error_class"))
        self._count("sms_slots_total", operation, "used")
        self._observe("sms_wait_seconds", given.get("waited_s"), given.get("lane"))
        self._observe("sms_call_seconds", given.get("duration_s"), operation)
        self._observe("sms_slot_lateness_seconds", given.get("lateness_s"), operation)
