"""Puts telemetry together from its settings."""

from dataclasses import dataclass
from typing import BinaryIO

from sentry_sdk.transport import Transport

from worker.core.outcome.catalog import Catalog
from worker.settings.sections import LogSettings, SentrySettings
from worker.telemetry.feed import Feed
from worker.telemetry.logging import Log
from worker.telemetry.metrics import Metrics
from worker.telemetry.sentry import Reporter
from worker.telemetry.telemetry import Sink, Telemetry


@dataclass(frozen=True, slots=True)
class Observed:
    """Telemetry and its parts."""

    events: Telemetry
    metrics: Metrics
    log: Log
    #: None when no DSN is set.
    reporter: Reporter | None

    def close(self) -> None:
        """Send what waits for Sentry and for the log; blocks for three seconds at the most, so call it in a thread."""
        if self.reporter is not None:
            self.reporter.close()
        self.log.close()


def open_telemetry(
    log: LogSettings,
    sentry: SentrySettings,
    catalog: Catalog,
    release: str,
    *,
    stream: BinaryIO | None = None,
    transport: Transport | None = None,
    strict: bool = False,
) -> Observed:
    """Open log, metrics and, when a DSN or a *transport* is given, Sentry; *stream* replaces standard output."""
    metrics = Metrics(catalog)
    count = metrics.instruments.count
    written = Log(log, stream, dropped=lambda lines: count("sms_log_lines_dropped_total", by=lines))
    reporter = Reporter(sentry, catalog, release, transport=transport) if sentry.dsn or transport else None
    sinks: dict[str, Sink] = {"metrics": Feed(metrics.instruments), "log": written}
    if reporter is not None:
        sinks["sentry"] = reporter
    return Observed(Telemetry(sinks, strict=strict), metrics, written, reporter)
