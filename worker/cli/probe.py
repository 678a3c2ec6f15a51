"""The health check of the container: asks the worker beside it, where the same configuration says that it listens.

``python -m worker.cli.probe`` leaves with 0 when /healthz is well, or when the worker has no port to ask.
"""

import http.client
import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from worker.cli.context import Context
from worker.errors import WorkerError
from worker.settings.sections import HttpSettings

#: Less than the health check's own patience. Seconds.
_PATIENCE_S: Final = 4.0


def place(settings: HttpSettings) -> tuple[str, int] | None:
    """Whom to ask; None when nobody listens, or at a port that only the worker knows."""
    if not settings.enabled or not settings.port:
        return None
    try:
        address = ip_address(settings.host)
    except ValueError:
        return settings.host, settings.port
    if address.is_unspecified:
        return ("127.0.0.1" if address.version == 4 else "::1"), settings.port  # noqa: PLR2004 - versions of IP
    return settings.host, settings.port


def is_well(settings: HttpSettings) -> bool:
    """Whether the event loop of the worker turns."""
    asked = place(settings)
    if asked is None:
        return True
    connection = http.client.HTTPConnection(*asked, timeout=_PATIENCE_S)  # not urllib, which would ask a proxy
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """Leave with 0 or 1."""
    files = tuple(Path(name) for name in os.environ.get("SMS_WORKER_CONFIG", "").split(":") if name)
    try:
        sys.exit(not is_well(Context(files, ()).settings().http))
    except WorkerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
