"""Where the servers' programs are, and how they get here when they are not: by Debian's package manager."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from deploy.local import given
from deploy.local.error import StackError

#: Directories that Debian keeps off the PATH of ordinary users.
_OFF_PATH: Final = ("/usr/lib/rabbitmq/bin", "/usr/sbin", "/usr/local/sbin")
#: Debian asks this program whether a package may start its service; 101 is no.
_POLICY: Final = "/usr/sbin/policy-rc.d"

#: Arguments: the policy file, then the packages. A policy that is already there is the machine's own and stays.
_SCRIPT: Final = """\
set -e
policy=$1
shift
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "$@"
"""


#: What to do where this cannot install.
_INSTEAD: Final = f"""\
install rabbitmq-server and redis-server yourself, or start them in containers and give their addresses:
    docker run --detach --publish 127.0.0.1:5672:5672 --publish 127.0.0.1:15672:15672 rabbitmq:4-management
    docker run --detach --publish 127.0.0.1:6379:6379 redis:7
    export {given.AMQP}=amqp://guest:guest@127.0.0.1:5672/ {given.REDIS}=redis://127.0.0.1:6379
    export {given.MANAGEMENT}=http://guest:guest@127.0.0.1:15672"""


def find_rabbitmq(path: str | None = None) -> Path | None:
    """RabbitMQ's own ``rabbitmq-server``, in *path* (default: PATH, then Debian's places).

    What distributions put on the PATH is a wrapper of another name that changes to the user rabbitmq. The real script
    has ``rabbitmq-env`` beside it, and runs as whoever calls it.
    """
    for directory in _places(path):
        script = (Path(directory) / "rabbitmq-server").resolve()
        if script.name == "rabbitmq-server" and script.is_file() and script.with_name("rabbitmq-env").exists():
            return script
    return None


def find_redis(path: str | None = None) -> Path | None:
    """``redis-server`` in *path* (default: PATH, then Debian's places)."""
    found = shutil.which("redis-server", path=os.pathsep.join(_places(path)))
    return Path(found) if found else None


def missing_packages() -> list[str]:
    """The Debian packages of the servers that are neither installed nor given by address."""
    packages = []
    if find_rabbitmq() is None and given.rabbitmq(os.environ) is None:
        packages.append("rabbitmq-server")
    if find_redis() is None and given.redis(os.environ) is None:
        packages.append("redis-server")
    return packages


def install() -> None:
    """Install what is missing with apt-get, through sudo unless we are root.

    Raises:
        StackError: It cannot be installed here; the text says what to do instead.
    """
    packages = missing_packages()
    if not packages:
        return
    command = command_for(packages, root=os.geteuid() == 0)
    print(f"Installing {' and '.join(packages)} with apt-get; their services are not started.", flush=True)
    if subprocess.run(command, check=False).returncode:
        raise StackError(f"apt-get failed, its reason is above: {_INSTEAD}")
    if still := missing_packages():
        raise StackError(f"apt-get installed {' and '.join(still)}, but the program cannot be found: {_INSTEAD}")


def command_for(packages: list[str], *, root: bool, path: str | None = None, policy: str = _POLICY) -> list[str]:
    """What installs *packages*, with services kept from starting by the file *policy* meanwhile.

    Raises:
        StackError: *path* (default: PATH) has no ``apt-get``, or no ``sudo`` for somebody who is not *root*.
    """
    if shutil.which("apt-get", path=path) is None:
        raise StackError(f"this machine has no apt-get: {_INSTEAD}")
    if not root and shutil.which("sudo", path=path) is None:
        raise StackError(f"installing needs root, and this machine has no sudo: {_INSTEAD}")
    return [*([] if root else ["sudo"]), "sh", "-c", _SCRIPT, "install", policy, *packages]


def _places(path: str | None) -> list[str]:
    if path is not None:
        return path.split(os.pathsep)
    return [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_OFF_PATH]
