"""Reports what a person must look at to Sentry: our own errors, holds of the account, unlisted codes.

Rules of this file. The client is ours and not the library's global one, so nothing else can report through it; no
integration is installed, so nothing is captured that was not passed here; personal data is off, as it is by default
(to name the option is deprecated). Every event is rebuilt from an allow list (``report.py``). Fingerprints have few
values, so a flood is one issue.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any, Final, cast

import sentry_sdk
from sentry_sdk.transport import Transport
from sentry_sdk.types import Event as SentryEvent
from sentry_sdk.types import Hint
from sentry_sdk.utils import event_from_exception

from worker.core.outcome.catalog import Catalog
from worker.settings.sections import SentrySettings
from worker.telemetry.events import Event
from worker.telemetry.report import rebuilt

#: What to do is the catalogue's remedy for these of our own codes.
_REMEDY_OF: Final = {"pipeline.failed": "local.internal", "provider.unlisted_code": "local.unlisted"}
_TOLD: Final = ("code", "lane", "exception", "scope", "subject")


@dataclass(slots=True)
class Allowance:
    """How many reports may go out: one of a kind per minute, and so many of all kinds; the clock is the caller's."""

    #: Between two reports of one kind.
    pause: timedelta = timedelta(minutes=1)
    #: Kinds remembered, and so reports per pause: beyond it everything waits.
    kinds: int = 30
    _last: dict[str, float] = field(default_factory=dict)

    def take(self, kind: str, now_s: float) -> bool:
        """Whether a report of *kind* may go out at *now_s*."""
        since = now_s - self.pause.total_seconds()
        self._last = {each: at for each, at in self._last.items() if at > since}
        if kind in self._last or len(self._last) >= self.kinds:
            return False
        self._last[kind] = now_s
        return True


class Reporter:
    """Sends reported events to Sentry; a sink of `Telemetry`."""

    def __init__(
        self,
        settings: SentrySettings,
        catalog: Catalog,
        release: str,
        *,
        transport: Transport | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """*transport* replaces the network; *clock* gives seconds."""
        self._catalog = catalog
        self._allowance = Allowance()
        self._clock = clock
        self._client: Final = sentry_sdk.Client(
            dsn=settings.dsn.get_secret_value() if settings.dsn else None,
            transport=transport,
            environment=settings.environment,
            release=release,
            server_name="",  # the host's name is nobody's business there; release and environment tell enough
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            auto_session_tracking=False,
            propagate_traces=False,
            spotlight=False,
            send_client_reports=False,
            before_send=_before_send,
            before_breadcrumb=_no_breadcrumb,
        )

    def __call__(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Report *event* when it is one for a person and its kind was not reported lately."""
        if not event.reported:
            return
        kind = self._kind(event, fields)
        if not self._allowance.take("/".join(kind), self._clock()):
            return
        report, hint = _of_error(fields.get("error"))
        if "exception" not in report:
            report["message"] = event.sentence
        report["level"] = "error"
        report["fingerprint"] = kind
        report["tags"] = {"event": event.name} | {key: str(fields[key]) for key in _TOLD if fields.get(key)}
        report["extra"] = {
            "sentence": event.sentence,
            "remedy": self._remedy(event, fields),
            "error_id": fields.get("error_id"),
        }
        self._client.capture_event(report, hint)

    def close(self) -> None:
        """Send what waits, for two seconds at the most; blocks, so call it in a thread."""
        self._client.close(timeout=2.0)

    def _kind(self, event: Event, fields: Mapping[str, Any]) -> list[str]:
        error = fields.get("error")
        if isinstance(error, BaseException):
            return [event.name, type(error).__name__, _place(error)]
        code = fields.get("code")
        if code is None:
            return [event.name]
        return [event.name, str(code)]

    def _remedy(self, event: Event, fields: Mapping[str, Any]) -> str | None:
        own = _REMEDY_OF.get(event.name)
        remedy = self._catalog.local(own).remedy if own else fields.get("remedy")
        return str(remedy) if remedy else None


def _of_error(error: object) -> tuple[SentryEvent, Hint]:
    if not isinstance(error, BaseException):
        return {}, {}
    options = {
        "include_local_variables": False,
        "include_source_context": False,
        "max_value_length": None,
        "custom_repr": None,
        "max_stack_frames": 100,
    }
    report, _ = event_from_exception(error, client_options=options, mechanism={"type": "sms-worker", "handled": True})
    return report, {}


def _place(error: BaseException) -> str:
    """The function in which *error* was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_globals.get('__name__', '?')}.{trace.tb_frame.f_code.co_name}"


def _before_send(event: SentryEvent, _hint: Hint) -> SentryEvent:
    return cast("SentryEvent", rebuilt(event))


def _no_breadcrumb(_crumb: dict[str, Any], _hint: Hint) -> None:
    """Nothing of ours leaves breadcrumbs; what a library leaves may hold anything."""
