"""Where events go in a command that is not a worker: only a lost connection is worth a line."""

from typing import Any

from worker.cli.output import errors


class Quiet:
    """Implements `ports.Events`."""

    def emit(self, name: str, /, **fields: Any) -> None:
        """Tell of a lost connection, and of nothing else."""
        if name == "broker.lost":
            errors.print(f"RabbitMQ: {fields.get('error')}; trying again", markup=False)
