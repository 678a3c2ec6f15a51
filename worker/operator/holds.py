"""Holds as an operator reads them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.limits.holds import Hold
from worker.core.outcome.catalog import Catalog, catalog
from worker.core.outcome.outcome import Table
from worker.settings.sections import Settings


def rows_of(holds: Iterable[Hold], settings: Settings) -> list[dict[str, Any]]:
    """*holds* as every surface shows them."""
    known, now = catalog().overridden(settings.catalog.classes), datetime.now(UTC)
    return [_row(hold, known, now) for hold in holds]


def _row(hold: Hold, known: Catalog, now: datetime) -> dict[str, Any]:
    row = known.find(hold.code, (Table.API, Table.GATEWAY, Table.LEGACY))
    return {
        "scope": hold.name.scope.value,
        "subject": hold.name.subject or None,
        "code": hold.code,
        "by": hold.by.value,
        "since": now - timedelta(seconds=hold.age_s),
        "next_probe_in_s": hold.probe_in_s,
        "ends_in_s": hold.ends_in_s,
        "failed_probes": hold.probes,
        "remedy": hold.reason or (row.remedy if row else None),
    }
