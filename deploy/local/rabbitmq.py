"""A private RabbitMQ node that shares nothing with another node on this machine, and keeps its data across a kill."""

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deploy.local.epmd import Epmd
from deploy.local.error import StackError
from deploy.local.management import Management
from deploy.local.ports import Ports
from deploy.local.server import Server

#: The configuration that we ship; the private node runs with it.
SHIPPED: Final = Path(__file__).parents[1] / "rabbitmq"
#: Seconds that a start or a stop may take: 3 to 7 on two cores, more when they are busy with other starts.
_PATIENCE: Final = 120
#: The first bytes of a connection by AMQP 0-9-1, section 4.2.2.
_GREETING: Final = b"AMQP\x00\x00\x09\x01"
#: The first byte of the answer: a method frame, Connection.Start.
_METHOD_FRAME: Final = b"\x01"

#: What differs from the shipped configuration: loopback, a small machine's limits, and no log on the console.
_OVERRIDES: Final = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 16777216
log.console = false
log.file.level = info
"""
#: Loopback only for Erlang's distribution too.
_LOOPBACK: Final = "-kernel inet_dist_use_interface {127,0,0,1}"


def environment_of_node(outside: Mapping[str, str], directory: Path, *, epmd: int, distribution: int) -> dict[str, str]:
    """The environment of the node and of its ``rabbitmqctl``, with nothing of a RabbitMQ that is installed here."""
    environment = {
        key: value
        for key, value in outside.items()
        if not key.startswith(("RABBITMQ_", "ERL_")) and key != "NOTIFY_SOCKET"
    }
    return environment | {
        "HOME": str(directory),  # Erlang's cookie
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "sms@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "no-environment-file"),
        "RABBITMQ_CONFIG_FILE": str(SHIPPED / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(directory / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(SHIPPED / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "database"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _LOOPBACK,
        "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK,
        # Makes rabbitmq-server become the node instead of waiting for it in a shell: one process to signal, and SIGTERM
        # is the node's own orderly stop. Without NOTIFY_SOCKET nothing else depends on it.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


class RabbitMQ:
    """The node and its port mapper, on ports that stay the same over restarts."""

    def __init__(self, binary: Path, directory: Path, ports: Ports, environment: Mapping[str, str]) -> None:
        """Write the configuration into *directory*; nothing runs yet. *binary* is ``rabbitmq-server``."""
        epmd, self._amqp, management = ports.take(), ports.take(), ports.take()
        overrides = _OVERRIDES.format(amqp=self._amqp, management=management)
        (directory / "conf.d").mkdir(parents=True)
        (directory / "conf.d" / "90-private.conf").write_text(overrides, encoding="utf-8")
        (directory / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="utf-8")
        self._binary = binary
        self._environment = environment_of_node(environment, directory, epmd=epmd, distribution=ports.take())
        self._epmd = Epmd(epmd, directory, self._environment)
        self._server = Server("rabbitmq", [str(binary)], self._environment, directory)
        self._management = Management(f"http://guest:guest@127.0.0.1:{management}")

    @property
    def url(self) -> str:
        """The address of its default virtual host."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """The address of *vhost*."""
        return f"amqp://guest:guest@127.0.0.1:{self._amqp}/{quote(vhost, safe='') if vhost != '/' else ''}"

    def spawn(self) -> None:
        """Start it without waiting until it answers."""
        self._epmd.start()
        self._server.spawn()

    def start(self) -> None:
        """Start it and wait until it takes connections; nothing happens when it runs."""
        self.spawn()
        self._server.wait_until(self._answers, _PATIENCE)

    def stop(self) -> None:
        """Let it end in good order."""
        self._server.terminate(_PATIENCE)

    def kill(self) -> None:
        """SIGKILL this node, and nothing else.

        RabbitMQ writes the names of its quorum queues to disk only a second after they were declared (Ra's names.dets,
        seen with 3.10): one that is younger comes back empty, without a leader, and hangs. See `flush`.
        """
        self._server.kill()

    def close(self) -> None:
        """Kill the node and its port mapper, for good."""
        self._server.kill()
        self._epmd.stop()

    def flush(self) -> None:
        """Let the node write down which queues it has, so that a kill right after this does not lose a queue."""
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def restart(self) -> None:
        """Stop in good order, then start."""
        self.stop()
        self.start()

    def ctl(self, *arguments: str) -> str:
        """What ``rabbitmqctl`` with *arguments* prints; takes about a second.

        Raises:
            StackError: It failed.
        """
        argv = [str(self._binary.with_name("rabbitmqctl")), "--quiet", *arguments]
        done = subprocess.run(argv, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"rabbitmqctl {' '.join(arguments)} failed\n{done.stdout}{done.stderr}")
        return done.stdout

    def add_vhost(self, name: str) -> str:
        """Create the virtual host *name* and return its address; takes some milliseconds."""
        self._management.add_vhost(name)
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Delete the virtual host *name* with all that is in it; its connections are closed."""
        self._management.delete_vhost(name)

    @property
    def management(self) -> Management:
        """Its HTTP API."""
        return self._management

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._amqp), timeout=5) as connection:
                connection.sendall(_GREETING)
                return connection.recv(1) == _METHOD_FRAME and self._management.answers()
        except OSError:
            return False
