"""Metrics: fed from events, closed in their labels, true at every scrape."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from worker.core.limits.holds import ACCOUNT, Hold, HoldName
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Scope
from worker.settings.sections import LogSettings, SentrySettings
from worker.telemetry import metric as module
from worker.telemetry.gauges import Snapshot
from worker.telemetry.metrics import METRICS
from worker.telemetry.open import Observed, open_telemetry

HOLDS = (
    Hold(ACCOUNT, "AMOUNT_NOT_ENOUGH", 60.0),
    *(Hold(HoldName(Scope.SENDER, sender), "INVALID_SENDERID", 60.0) for sender in ("ACME", "OTHER")),
)


@pytest.fixture
def observed() -> Observed:
    return open_telemetry(LogSettings(), SentrySettings(), catalog(), "1.0", stream=io.BytesIO(), strict=True)


def value(observed: Observed, name: str, **labels: str) -> float | None:
    return observed.metrics.registry.get_sample_value(name, labels)


def test_a_settled_delivery_is_counted_where_it_belongs(observed: Observed) -> None:
    settled: dict[str, Any] = {
        "lane": "otp",
        "disposition": "done",
        "error_class": "accepted",
        "segments": 2,
        "queued_s": 4.0,
        "total_s": 0.5,
        "redelivered": True,
    }
    observed.events.emit("delivery.settled", **settled)
    observed.events.emit("delivery.settled", **settled | {"disposition": "retry", "error_class": "unknown"})
    observed.events.emit("delivery.settled", lane="marketing", disposition="given_back", reason="draining")

    done = {"lane": "otp", "disposition": "done", "error_class": "accepted"}
    assert value(observed, "sms_deliveries_total", **done) == 1
    given_back = {"lane": "marketing", "disposition": "given_back", "error_class": "none"}
    assert value(observed, "sms_deliveries_total", **given_back) == 1
    assert value(observed, "sms_segments_total", lane="otp") == 2
    assert value(observed, "sms_queue_seconds_sum", lane="otp") == 4.5
    assert value(observed, "sms_unknown_resent_total", lane="otp") == 1
    assert value(observed, "sms_redelivered_total", lane="otp") == 2


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("OK", "OK"),
        ("Throttling.User", "Throttling*"),
        ("isv.AMOUNT_NOT_ENOUGH", "AMOUNT_NOT_ENOUGH"),
        ("local.timeout", "local.timeout"),
        ("HTTP 429", "HTTP"),
        ("BRAND_NEW", "unlisted"),
    ],
)
def test_a_call_is_counted_under_the_catalogues_code(observed: Observed, code: str, label: str) -> None:
    call = {"operation": "SendMessageToGlobe", "error_class": "transient", "code": code}
    observed.events.emit("provider.called", **call, lane="otp", waited_s=0.25, duration_s=0.05, lateness_s=0.001)

    assert value(observed, "sms_calls_total", **call | {"code": label}) == 1
    assert value(observed, "sms_slots_total", operation="SendMessageToGlobe", result="used") == 1
    assert value(observed, "sms_call_seconds_count", operation="SendMessageToGlobe") == 1
    assert value(observed, "sms_wait_seconds_sum", lane="otp") == 0.25


def test_no_value_from_outside_makes_a_series_of_its_own(observed: Observed) -> None:
    for number in range(50):
        odd = f"odd-{number}"
        observed.events.emit("delivery.settled", lane=odd, disposition=odd, error_class=odd)
        observed.events.emit("provider.called", operation=odd, code=odd, error_class=odd, duration_s=1.0)
    exposed = observed.metrics.exposition()[0].decode()

    assert "odd-" not in exposed
    labels = {"lane": "other", "disposition": "other", "error_class": "other"}
    assert value(observed, "sms_deliveries_total", **labels) == 50


@pytest.mark.parametrize(
    ("event", "fields", "name", "labels"),
    [
        ("slot.burnt", {"operation": "SendMessageToGlobe"}, "sms_slots_total", {"result": "burnt"}),
        ("slot.unused", {"operation": "SendMessageToGlobe"}, "sms_slots_total", {"result": "unused"}),
        ("limiter.throttled", {"operation": "SendMessageToGlobe"}, "sms_throttled_total", {}),
        ("broker.lost", {"role": "publish"}, "sms_broker_lost_total", {}),
        ("hold.set", {"scope": "account", "code": "AMOUNT_NOT_ENOUGH"}, "sms_holds_total", {}),
        ("delivery.unsettled", {"lane": "otp"}, "sms_unsettled_total", {}),
        ("provider.unlisted_code", {}, "sms_unlisted_codes_total", {}),
        ("provider.credentials_failed", {}, "sms_credentials_failed_total", {}),
        ("hold.probe", {"scope": "sender"}, "sms_hold_probes_total", {}),
        ("broker.unconfirmed", {}, "sms_unconfirmed_total", {}),
        ("limiter.unavailable", {}, "sms_limiter_lost_total", {}),
        ("limiter.emptied", {}, "sms_limiter_epochs_total", {}),
        ("limiter.restarted", {}, "sms_limiter_epochs_total", {}),
        ("limiter.clock", {}, "sms_limiter_epochs_total", {}),
        ("pipeline.failed", {}, "sms_internal_errors_total", {}),
        ("telemetry.failed", {"sink": "log"}, "sms_telemetry_failures_total", {}),
    ],
)
def test_an_event_is_counted(
    observed: Observed, event: str, fields: dict[str, str], name: str, labels: dict[str, str]
) -> None:
    observed.events.emit(event, **fields)

    assert value(observed, name, **fields | labels) == 1


def test_what_a_shadow_would_refuse_is_counted_by_its_key(observed: Observed) -> None:
    for key in ("limits.caps", "limits.caps", "limits.recipient"):
        observed.events.emit("limits.shadowed", key=key, limit="account: 5 per day")

    assert value(observed, "sms_shadow_refused_total", limit="limits.caps") == 2
    assert value(observed, "sms_shadow_refused_total", limit="limits.recipient") == 1


def test_gauges_say_how_the_worker_stands_at_the_scrape(observed: Observed) -> None:
    now = Snapshot(in_hand={Lane.OTP: 3}, consuming=True, limiter=True, holds=HOLDS, braked="", standstill="held")
    assert value(observed, "sms_held", scope="account") is None

    observed.metrics.watch(lambda: now)
    held = [value(observed, "sms_held", scope=scope) for scope in ("account", "sender", "country")]
    told = [value(observed, name) for name in ("sms_worker_braked", "sms_intake_paused")]
    now = Snapshot()

    assert (held, told) == ([1, 2, 0], [1, 1])
    assert value(observed, "sms_held", scope="account") == 0
    assert value(observed, "sms_in_hand", lane="otp") == 0
    assert (value(observed, "sms_worker_braked"), value(observed, "sms_intake_paused")) == (0, 0)
    assert value(observed, "sms_broker_connected", role="consume") == 0


def test_the_exposition_holds_every_metric_with_its_sentence(observed: Observed) -> None:
    observed.metrics.watch(Snapshot)
    body, content_type = observed.metrics.exposition()
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}

    assert content_type.startswith("text/plain")
    assert "process_cpu_seconds" in families
    for metric in METRICS:
        assert families[metric.name.removesuffix("_total")].documentation == metric.sentence
        assert re.fullmatch(r"sms_[a-z_]+_(total|seconds)", metric.name)
        assert metric.sentence.endswith(".")


#: Scrapes while the garbage collector keeps finding futures that failed unseen, which asyncio then logs.
COLLECTED = """
import asyncio, gc, io
from worker.core.outcome.catalog import catalog
from worker.settings.sections import LogSettings, SentrySettings
from worker.telemetry.libraries import libraries_heard
from worker.telemetry.open import open_telemetry
class Cycle: pass
observed = open_telemetry(LogSettings(), SentrySettings(), catalog(), "test", stream=io.BytesIO())
loop = asyncio.new_event_loop()
with libraries_heard(observed.events):
    gc.disable()
    for turn in range(400):
        cycle = Cycle()
        cycle.own, cycle.future = cycle, loop.create_future()
        cycle.future.set_exception(ValueError())
        del cycle
        gc.set_threshold(1 + turn % 40, 1, 1)
        gc.enable()
        observed.metrics.exposition()
        observed.events.emit("delivery.settled", lane="otp", disposition="done", error_class="accepted", total_s=0.1)
        gc.disable()
gc.collect()
print(observed.metrics.registry.get_sample_value("sms_events_total", {"level": "error"}))
"""


def test_what_the_garbage_collector_finds_meanwhile_is_counted_and_nobody_waits_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTED], capture_output=True, text=True, timeout=60, check=True)

    assert float(done.stdout) > 0, "nothing was found: nothing was tested"


def test_a_series_that_begins_during_a_scrape_is_in_the_next(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = (code for code in ("OK", "QPS_LIMIT_CONTROL"))

    def ringing(buckets: list[int]) -> Iterator[int]:
        for code in new:
            observed.events.emit("hold.set", scope="account", code=code)
        return accumulate(buckets)

    monkeypatch.setattr(module, "accumulate", ringing)
    observed.metrics.exposition()

    assert "QPS_LIMIT_CONTROL" in observed.metrics.exposition()[0].decode()
