"""How the quotas stand: what is configured, set, shared and learned, what is granted and what the provider refuses."""

from collections.abc import Mapping
from typing import Any

from worker.core.limits.quota import SINGLES, Operation
from worker.limiter.ring import Shared
from worker.operator.found import Found
from worker.settings.policy import QUOTA_KEYS, quotas_of
from worker.settings.sections import Settings


def quota_rows(found: Found, settings: Settings, limits: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row an operation that is used; *limits* are the rows of `operator.limits`, by key."""
    size = limits["batch.size"]["value"] if limits else settings.batch.size
    used = (*SINGLES, Operation.BATCH) if size else SINGLES
    return [_row(found, settings, operation, limits.get(QUOTA_KEYS[operation])) for operation in used]


def _row(found: Found, settings: Settings, operation: Operation, limit: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the workers share, null without a limit or when it is not known, and what is configured here."""
    shared = found.shared.get(operation, Shared(None, 0.0))
    learned = found.learned.get(operation)
    return {
        "operation": operation.value,
        "quota_per_s": shared.rate or None,
        "quota_known": shared.rate is not None,
        "configured_per_s": quotas_of(settings)[operation].rate or None,
        # With what an operator has set; null without a limit, or when it is not known whether somebody did.
        "in_force_per_s": (limit["value"] or None) if limit else None,
        "set_by": limit and limit["by"],
        "set_ends_in_s": limit and limit["ends_in_s"],
        "learned_per_s": learned and learned.rate,
        "foreign_ratio": learned and learned.foreign,
        "granted_per_s": None if found.granted is None else found.granted.get(operation),
        "throttled_last_60_s": found.throttled.get(operation),
        "opens_in_s": shared.opens_in_s,
    }
