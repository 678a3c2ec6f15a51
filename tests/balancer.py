"""A balancer whose backend is away: it accepts every connection and closes it at once."""

import socket
import threading
from typing import Self


class Balancer:
    """Accepts and closes in a thread of its own, sooner than an event loop would."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="balancer")
        self._ends = False
        #: Connections that were closed.
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections, and leave the port to others."""
        if not self._ends:
            self._ends = True
            with socket.create_connection(("127.0.0.1", self.port)):
                self._thread.join()
            self._socket.close()

    def _run(self) -> None:
        while not self._ends:
            taken, _ = self._socket.accept()
            taken.close()
            self.accepted += 1
