"""Where events go in a command that is not a worker: nowhere. What matters is raised, and becomes the last sentence."""

from typing import Any


class Quiet:
    """Implements `ports.Events`."""

    def emit(self, name: str, /, **fields: Any) -> None:
        """Tell nobody."""
