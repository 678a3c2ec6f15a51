"""The settings of workers under fault, and the sandbox's books as the accounts want them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.system import FLAGS
from worker.sandbox import Sandbox

#: Short timeouts, so that a lease is short; no windows, so that a resend need not wait for one.
WORKER: Final[Mapping[str, Any]] = {
    **FLAGS,
    "http.enabled": False,
    "broker.declare": False,
    "provider.connect_timeout": "500ms",
    "provider.read_timeout": "500ms",
    "limits.recipient": [{"limit": 1000, "period": "1h"}],
    "broker.reconnect_pause": "100ms",
    # Of those who die calling, most requests end as unknown: that is what is looked for here, and no reason to stop.
    "brake.internal": 1,
    "brake.dead": 1,
}


def in_books(sandbox: Sandbox) -> Iterator[str]:
    """The request id of every message that *sandbox* accepted."""
    return (entry.task_id for entry in sandbox.account if entry.accepted)
