"""What may leave for Sentry: an event is built anew from the few fields known to be harmless.

An allow list, because a library adds fields with every version. The text of an exception is dropped as a whole: it
quotes what it stumbled over, and no pattern tells the text of a message from other words. Type, module and frames are
enough to find the place.
"""

from collections.abc import Mapping
from typing import Any, Final

from worker.telemetry.scrubbing import scrub

#: Stands where the text of an exception was.
DROPPED: Final = "(text dropped: it may quote a message)"
#: Written by the library or by us, never by what came in; `timestamp` and `event_id` would look like numbers.
_AS_THEY_ARE: Final = ("event_id", "timestamp", "platform", "level", "release", "environment", "sdk")
#: Ours: masked, because a code comes from outside.
_SCRUBBED: Final = ("message", "tags", "extra", "fingerprint")
_FRAME: Final = ("filename", "function", "module", "lineno", "in_app")


def rebuilt(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the harmless part of *event*."""
    rebuilt = {key: event[key] for key in _AS_THEY_ARE if key in event}
    rebuilt |= {key: scrub(event[key]) for key in _SCRUBBED if key in event}
    runtime = event.get("contexts", {}).get("runtime")
    if runtime:
        rebuilt["contexts"] = {"runtime": scrub(runtime)}
    if "exception" in event:
        rebuilt["exception"] = {"values": [_exception(each) for each in event["exception"]["values"]]}
    return rebuilt


def _exception(raised: Mapping[str, Any]) -> dict[str, Any]:
    frames = (raised.get("stacktrace") or {}).get("frames", ())
    mechanism = raised.get("mechanism") or {}
    return {
        "type": scrub(raised.get("type")),
        "module": scrub(raised.get("module")),
        "value": DROPPED,
        "mechanism": {key: mechanism[key] for key in ("type", "handled") if key in mechanism},
        "stacktrace": {"frames": [{key: scrub(frame[key]) for key in _FRAME if key in frame} for frame in frames]},
    }
