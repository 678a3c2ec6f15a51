"""Servers of a newer Debian: where they come from, and that a command finds them first. Nothing is fetched here."""

import os
from pathlib import Path

import pytest

from deploy.local import newer
from deploy.local.error import StackError
from deploy.local.install import find_rabbitmq, find_redis
from tests.unit.test_local_stack import program

INDEXES = """\
Elsewhere Debian main http://other.example/debian/
Debian Debian-Security main http://mirror.example/debian-security/
Debian Debian contrib http://mirror.example/debian/
Debian Debian main http://mirror.example/debian/
Debian Debian main http://mirror.example/debian-updates/
"""


def test_the_packages_come_from_the_mirror_that_the_machine_uses() -> None:
    assert newer.mirror_of(INDEXES) == "http://mirror.example/debian/"


def test_a_machine_without_such_a_mirror_is_told_what_to_do() -> None:
    with pytest.raises(StackError, match="apt-get update"):
        newer.mirror_of("")


@pytest.mark.parametrize("cache", newer.CACHES)
def test_a_command_finds_the_newer_servers_before_the_machines_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: str
) -> None:
    monkeypatch.setattr(newer, "STATE", tmp_path)
    suite = tmp_path / "trixie"
    sbin = suite / "root/usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/sbin"
    for path in (
        sbin / "rabbitmq-server",
        sbin / "rabbitmq-env",
        *(suite / each / "redis-server" for each in newer.CACHES),
    ):
        program(path)
    (suite / "ready").touch()

    environment = newer.environment_with("trixie", cache, {"PATH": os.defpath, "HOME": "/root"})

    assert environment["HOME"] == "/root"
    assert find_rabbitmq(environment["PATH"]) == sbin / "rabbitmq-server"
    assert find_redis(environment["PATH"]) == suite / cache / "redis-server"
    assert environment["PATH"].endswith(os.defpath)
