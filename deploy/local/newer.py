"""Servers of a newer Debian beside the machine's own: fetched by apt-get into a directory, installed nowhere.

What this machine tests with is what its Debian has; brokers elsewhere are newer. The packages of another suite come
from the mirror that this machine uses already, with all that they depend on, the C library too, and are unpacked. Their
programs then get that library as their loader and library path, so that they run here and nothing else notices them.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.local.error import StackError

#: Where the suites are kept, between runs; ``make clean`` removes it.
STATE: Final = Path(__file__).parents[2] / ".newer"
#: What stands in for Redis.
CACHES: Final = ("valkey", "redis")
_PACKAGES: Final = ("rabbitmq-server", "redis-server", "valkey-server", "patchelf")
_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: Erlang's programs that RabbitMQ's scripts call by name.
_ERLANG: Final = ("erl", "epmd", "escript")
_INDEXES: Final = ("--format", "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")


def environment_with(suite: str, cache: str, outside: Mapping[str, str]) -> dict[str, str]:
    """*outside* with RabbitMQ and *cache* of *suite* before everything else on the PATH; fetched when not there yet.

    Raises:
        StackError: They cannot be had here; the text says why.
    """
    directory = STATE / suite
    if not (directory / "ready").exists():
        print(f"Fetching RabbitMQ, Redis and Valkey of Debian {suite} into {directory}.", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        _fetch(suite, directory)
        _fit(directory)
        (directory / "ready").touch()
    places = [directory / cache, *_broker(directory / "root"), directory / "erlang"]
    return {**outside, "PATH": os.pathsep.join([*map(str, places), outside.get("PATH", os.defpath)])}


def mirror_of(indexes: str) -> str:
    """The address of Debian's packages among the lines of ``apt-get indextargets``.

    Raises:
        StackError: There is none: this is no Debian, or ``apt-get update`` never ran.
    """
    found = re.search(r"^Debian Debian main (\S+)$", indexes, re.MULTILINE)
    if found is None:
        raise StackError("apt-get knows no mirror of Debian here; on a new machine, run apt-get update first")
    return found[1]


def _fetch(suite: str, directory: Path) -> None:
    mirror = mirror_of(_output("apt-get", "indextargets", *_INDEXES))
    for part in ("etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial"):
        (directory / part).mkdir(parents=True)
    (directory / "status").touch()  # nothing is installed, so everything that is needed is fetched
    (directory / "etc/sources.list").write_text(f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n", "utf-8")
    settings = {
        "Dir::Etc": directory / "etc",
        "Dir::State": directory,
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory,
        "Dir::Cache::archives": directory / "archives",
        "APT::Sandbox::User": "root",  # a directory of ours is closed to the user _apt
    }
    apt = ["apt-get", "--quiet", *(f"--option={key}={value}" for key, value in settings.items())]
    _output(*apt, "update")
    _output(*apt, "--yes", "--no-install-recommends", "--download-only", "install", *_PACKAGES)
    for package in sorted((directory / "archives").glob("*.deb")):
        _output("dpkg", "--extract", str(package), str(directory / "root"))
        package.unlink()


def _fit(directory: Path) -> None:
    """Make the programs run from where they are."""
    root = directory / "root"
    erlang = root / "usr/lib/erlang"
    for cache in CACHES:
        (directory / cache).mkdir()
        shutil.copy2(root / f"usr/bin/{cache}-server", directory / cache / "redis-server")
    programs = [path for path in erlang.rglob("*") if path.is_file() and ".so" not in path.name and _is_elf(path)]
    _give_library(root, [*programs, *(directory / cache / "redis-server" for cache in CACHES)])
    for script in erlang.glob("**/bin/erl"):
        script.write_text(script.read_text("utf-8").replace("/usr/lib/erlang", str(erlang)), "utf-8")
    (directory / "erlang").mkdir()
    for name in _ERLANG:
        (directory / "erlang" / name).symlink_to(erlang / "bin" / name)


def _give_library(root: Path, programs: Sequence[Path]) -> None:
    loader = next(iter(root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")))
    library = str(loader.parent)
    patchelf = [str(loader), "--library-path", library, str(root / "usr/bin/patchelf")]
    for program in programs:
        # An rpath, unlike a runpath, holds for what the program's libraries and plugins need as well.
        changes = ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", library]
        _output(*patchelf, *changes, str(program))


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF" and bool(path.stat().st_mode & 0o111)


def _broker(root: Path) -> list[Path]:
    return list(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))


def _output(*argv: str) -> str:
    """What *argv* printed.

    Raises:
        StackError: It failed, or there is no such program.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise StackError(f"this machine has no {argv[0]}: the newer servers are Debian packages") from error
    if done.returncode:
        raise StackError(f"{' '.join(argv)} failed\n{done.stdout}{done.stderr}")
    return done.stdout
