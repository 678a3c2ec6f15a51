"""Every metric, in one table; Prometheus reads them at ``/metrics``.

They are fed from events (``feed.py``), and by the log with the lines that it could not write.

Rules of this file. Labels are closed sets: no id, no attempt number, no address. Seconds and counts, no derived rates.
What is a state rather than a happening is a gauge (``gauges.py``).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from worker.core.limits.holds import SCOPES
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import Catalog
from worker.core.outcome.outcome import ErrorClass, Table
from worker.settings.changeable import CHANGEABLE
from worker.telemetry.events import Level
from worker.telemetry.gauges import Gauges, Snapshot
from worker.telemetry.metric import NONE, Instruments, Label, Metric, MetricKind, closed

_COUNTER, _HISTOGRAM = MetricKind
_LANE_OUTCOME: Final = ("lane", "disposition", "error_class")
_CALL: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
_WAIT: Final = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 600)
_QUEUE: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 21_600, 86_400, 259_200)
_LATENESS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)

METRICS: Final = (
    Metric("sms_deliveries_total", _COUNTER, _LANE_OUTCOME, "Deliveries settled, by what became of them."),
    Metric("sms_redelivered_total", _COUNTER, ("lane",), "Deliveries settled that somebody had before."),
    Metric("sms_unsettled_total", _COUNTER, ("lane",), "Deliveries that were left to RabbitMQ unsettled."),
    Metric("sms_segments_total", _COUNTER, ("lane",), "Segments accepted by the provider, as billed."),
    Metric("sms_unknown_resent_total", _COUNTER, ("lane",), "Requests sent again though the first may have arrived."),
    Metric(
        "sms_ids_reused_total", _COUNTER, ("lane",), "Requests refused because their id stands for another content."
    ),
    Metric("sms_forged_headers_total", _COUNTER, ("lane",), "Headers that only workers may write, set by publishers."),
    Metric(
        "sms_repeated_total", _COUNTER, ("lane",), "Requests done without a call: the ledger knew that they were sent."
    ),
    Metric("sms_queue_seconds", _HISTOGRAM, ("lane",), "First publication to the end: done or dead.", _QUEUE),
    Metric("sms_wait_seconds", _HISTOGRAM, ("lane",), "Reception to the turn to call.", _WAIT),
    Metric("sms_in_hand_seconds", _HISTOGRAM, ("lane",), "Reception to settled.", _WAIT),
    Metric("sms_calls_total", _COUNTER, ("operation", "code", "error_class"), "Calls to the provider, by its answer."),
    Metric("sms_call_seconds", _HISTOGRAM, ("operation",), "Duration of a call.", _CALL),
    Metric("sms_slots_total", _COUNTER, ("operation", "result"), "Slots of the quota: used, burnt (late) or unused."),
    Metric("sms_slot_lateness_seconds", _HISTOGRAM, ("operation",), "How late a slot was used.", _LATENESS),
    Metric("sms_throttled_total", _COUNTER, ("operation",), "Calls that the provider throttled."),
    Metric("sms_unlisted_codes_total", _COUNTER, (), "Answers with a code that the catalogue does not list."),
    Metric("sms_holds_total", _COUNTER, ("scope", "code"), "Holds that answers of the provider began."),
    Metric("sms_hold_probes_total", _COUNTER, ("scope",), "Calls that tested whether a hold can be lifted."),
    Metric("sms_credentials_failed_total", _COUNTER, (), "Times that no credentials could be had."),
    Metric("sms_unconfirmed_total", _COUNTER, (), "Publishes that the broker did not confirm, or had no queue for."),
    Metric("sms_broker_lost_total", _COUNTER, ("role",), "Broken connections to RabbitMQ."),
    Metric("sms_limiter_lost_total", _COUNTER, (), "Times that Redis could no longer be used."),
    Metric("sms_limiter_epochs_total", _COUNTER, (), "Times that Redis was emptied, restarted or set back."),
    Metric("sms_shadow_refused_total", _COUNTER, ("limit",), "Messages sent that the shadow of a limit would refuse."),
    Metric("sms_internal_errors_total", _COUNTER, (), "Requests on which this program failed."),
    Metric("sms_events_total", _COUNTER, ("level",), "Events told, by how loud they are."),
    Metric("sms_telemetry_failures_total", _COUNTER, ("sink",), "Events that a part of telemetry could not take."),
    Metric("sms_log_lines_dropped_total", _COUNTER, (), "Lines of the log that standard output did not take."),
)


class Metrics:
    """The instruments, the gauges and what the process itself costs, in a registry of their own."""

    def __init__(self, catalog: Catalog) -> None:
        """Codes are told as *catalog* lists them."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own; one more series for each, which nothing here reads
        self.registry: Final = CollectorRegistry(auto_describe=False)
        self.instruments: Final = Instruments(METRICS, _labels(catalog), self.registry)
        self._gauges = Gauges()
        self.registry.register(self._gauges)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch(self, snapshot: Callable[[], Snapshot]) -> None:
        """Take the gauges from *snapshot*, which is asked at every scrape."""
        self._gauges.snapshot = snapshot

    def exposition(self) -> tuple[bytes, str]:
        """What Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def _labels(catalog: Catalog) -> dict[str, Label]:
    return {
        "lane": closed(Lane),
        "disposition": closed(("done", "retry", "dead", "given_back")),
        "error_class": closed(ErrorClass),
        "operation": closed(Operation),
        "code": _code_label(catalog),
        "result": closed(("used", "burnt", "unused")),
        "scope": closed(SCOPES),
        "role": closed(("consume", "publish", "operate")),
        "level": closed(Level),
        "limit": closed(key for key, has_shadow in CHANGEABLE.items() if has_shadow),
        "sink": closed(("log", "metrics", "sentry")),
    }


def _code_label(catalog: Catalog) -> Label:
    """A code as its row is written: a pattern covers all its continuations, and the unlisted are one."""

    @lru_cache(maxsize=1024)  # bounded: what the provider answers is not ours to bound
    def label(value: object) -> str:
        if value is None:
            return NONE
        code = str(value)
        if code.startswith("HTTP "):  # how the catalogue names an answer without a code
            return "HTTP"
        row = catalog.find(code, (Table.API, Table.GATEWAY, Table.LEGACY, Table.LOCAL))
        return row.code if row else "unlisted"

    return label
