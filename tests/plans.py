"""Plans for simulations."""

from typing import Any

from worker.settings.load import load
from worker.simulation.plan import Plan
from worker.simulation.report import Report
from worker.simulation.run import simulated


def stream(sms_type: str = "MKT", **changes: Any) -> dict[str, Any]:
    """A stream of 100 at once; *changes* are other fields, `...` leaves one out."""
    fields = {"type": sms_type, "count": 100} | changes
    return {name: value for name, value in fields.items() if value is not ...}


def played(*streams: dict[str, Any], flags: dict[str, Any] | None = None, **fields: Any) -> Report:
    """Play a plan of *streams*, with settings by their dotted names in *flags*, and other *fields* of a plan."""
    plan = Plan.model_validate({"streams": list(streams), **fields})
    return simulated(plan, load([], {}, flags))
