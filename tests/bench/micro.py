"""Single steps of the way of a message, each alone, in microseconds."""

import io
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from timeit import Timer
from typing import Final

import orjson
from rich.table import Table

from tests.makers import LIFETIMES, POLICY, make_raw, make_request
from worker.broker.message import properties_of
from worker.broker.wire.frames import publish_frames
from worker.broker.wire.properties import write_properties
from worker.core.decision.decide import decide
from worker.core.message.decode import decode
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted, Reply
from worker.core.outgoing.envelope import Outgoing, outgoing
from worker.core.outgoing.record import closing_fields
from worker.core.topology import Topology
from worker.provider.parameters import parameters_of
from worker.provider.replies import read_reply
from worker.provider.signature import AccessKey, signed
from worker.settings.sections import LogSettings, SentrySettings
from worker.telemetry.open import open_telemetry

#: Each step is timed this often; the best counts, because everything else on the machine only adds.
_REPEATS: Final = 5
_SECONDS: Final = 0.1


def table() -> Table:
    """Every step."""
    shown = Table(title="Single steps, each alone")
    shown.add_column("step")
    shown.add_column("us", justify="right")
    for name, step in _steps().items():
        shown.add_row(name, f"{_cost_us(step):.1f}")
    return shown


def _cost_us(step: Callable[[], object]) -> float:
    timer = Timer(step)
    calls, seconds = timer.autorange()
    calls = max(1, round(calls * _SECONDS / seconds))
    return min(timer.repeat(_REPEATS, calls)) / calls * 1e6


def _steps() -> dict[str, Callable[[], object]]:
    now = datetime.now(UTC)
    raw, request = make_raw(), make_request(deadline=now + timedelta(minutes=5))
    body = orjson.dumps(
        {"ResponseCode": "OK", "MessageId": "1" * 18, "RequestId": "A" * 36, "Segments": "1", "To": request.sms.number}
    )
    accepted, topology, codes, key = Accepted("1", "R", 1), Topology(), catalog(), AccessKey("id", "secret")
    done = decide(request, accepted, POLICY, now, 0.5)
    message = outgoing(raw, request, done, topology, now)
    events = open_telemetry(LogSettings(), SentrySettings(), codes, "bench", stream=io.BytesIO()).events
    fields = closing_fields(request, request.lane, done, now, now)
    parameters = parameters_of(request, 300, None)
    return {
        "decode": lambda: decode(raw, LIFETIMES, now),
        "classify": lambda: codes.classify(Reply(200, "OK", message_id="1")),
        "decide": lambda: decide(request, accepted, POLICY, now, random.random()),
        "outgoing (outcome event)": lambda: outgoing(raw, request, done, topology, now),
        "frames of a publish": lambda: _frame(message, now),
        "sign": lambda: signed("SendMessageToGlobe", parameters, host="h", key=key, instant=now, nonce="0" * 32),
        "read reply": lambda: read_reply(200, {}, body),
        "closing fields": lambda: closing_fields(request, request.lane, done, now, now),
        "emit delivery.settled (log, metrics)": lambda: events.emit("delivery.settled", redelivered=False, **fields),
        "emit provider.called (metrics)": lambda: events.emit(
            "provider.called", operation="SendMessageToGlobe", lane="otp", code="OK", error_class="accepted",
            duration_s=0.05, lateness_s=0.0,
        ),
    }  # fmt: skip


def _frame(message: Outgoing | None, now: datetime) -> bytes:
    if message is None:
        raise TypeError("an outcome is published")
    return publish_frames(
        1,
        message.route.exchange,
        message.route.key,
        write_properties(properties_of(message, now, "0" * 32)),
        message.body,
        0,
    )
