"""The local stack without its servers: ports, environments, who belongs to a stack, what is installed and how."""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.local import epmd, given, install, reaper
from deploy.local.error import StackError
from deploy.local.ports import BLOCK, Ports, blocks
from deploy.local.rabbitmq import environment_of_node
from deploy.local.server import Server

DIRECTORY = Path("/srv/sms/.stack/a")


def program(path: Path, text: str = "") -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


# Ports


@pytest.mark.parametrize("ephemeral", [32_768, 10_248, 16_000])
def test_no_port_of_a_stack_can_be_given_to_an_outgoing_connection(ephemeral: int) -> None:
    firsts = blocks(ephemeral)

    assert firsts[-1] + BLOCK <= ephemeral
    assert {later - earlier for earlier, later in pairwise(firsts)} <= {BLOCK}


def test_a_machine_with_few_ports_for_servers_still_gets_some() -> None:
    assert len(blocks(1024)) > 1000


def test_two_stacks_never_hold_the_same_block() -> None:
    with Ports() as first:
        lock = first.take() - 1
        with pytest.raises(StackError, match="free ports"):
            Ports([lock])

    with Ports([lock]) as second:
        assert [second.take() for _ in range(BLOCK - 1)] == list(range(lock + 1, lock + BLOCK))


# RabbitMQ's environment


def test_a_private_node_sees_nothing_of_an_installed_rabbitmq() -> None:
    outside = {"PATH": "/bin", "HOME": "/root", "RABBITMQ_NODENAME": "x", "ERL_LIBS": "y", "NOTIFY_SOCKET": "z"}

    environment = environment_of_node(outside, DIRECTORY, epmd=10_001, distribution=10_004)

    assert environment["PATH"] == "/bin"
    assert environment["HOME"] == str(DIRECTORY)
    assert environment["RABBITMQ_NODENAME"] == "sms@localhost"
    assert not {"ERL_LIBS", "NOTIFY_SOCKET"} & set(environment)


# Who belongs to a stack


def entry(proc: Path, pid: int, environ: bytes, output: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "environ").write_bytes(environ)
    (proc / str(pid) / "fd" / "1").symlink_to(output)


def test_who_names_the_directory_or_writes_into_it_belongs_to_the_stack(tmp_path: Path) -> None:
    entry(tmp_path, 1, b"PATH=/bin\0", "/dev/null")
    entry(tmp_path, 2, b"PATH=/bin\0SMS_STACK_DIRECTORY=/srv/sms/.stack/a\0", "/dev/null")
    entry(tmp_path, 3, b"redis-server 127.0.0.1:6379\0", "/srv/sms/.stack/a/redis/redis.out")
    entry(tmp_path, 4, b"SMS_STACK_DIRECTORY=/srv/sms/.stack/ab\0", "/srv/sms/.stack/ab/redis.out")
    entry(tmp_path, os.getpid(), b"SMS_STACK_DIRECTORY=/srv/sms/.stack/a\0", "/dev/null")
    (tmp_path / "5").mkdir()
    (tmp_path / "self").mkdir()

    assert sorted(reaper.belonging_to(DIRECTORY, tmp_path)) == [2, 3]


def test_a_directory_that_is_no_stack_is_left_alone(tmp_path: Path) -> None:
    reaper.reap(tmp_path)

    assert tmp_path.exists()


def test_a_stack_is_ended_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    directory.mkdir()
    (directory / reaper.LOCK).touch()
    with subprocess.Popen(["sleep", "60"], env=os.environ | {reaper.MARK: str(directory)}) as sleeping:
        reaper.reap(directory)

    assert sleeping.returncode == -9
    assert not directory.exists()


# A server's last words


def test_a_server_that_ends_while_it_starts_is_quoted(tmp_path: Path) -> None:
    server = Server("broker", ["sh", "-c", "echo no space left; exit 1"], os.environ, tmp_path)
    server.spawn()

    with pytest.raises(StackError, match=r"broker ended while it started\nno space left"):
        server.wait_until(lambda: False, 10)

    server.kill()


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    server = Server("broker", ["sleep", "60"], os.environ, tmp_path)
    server.spawn()

    with pytest.raises(StackError, match="broker did not answer for 0 s"):
        server.wait_until(lambda: False, 0)

    server.kill()
    assert not server.is_running


# Given servers


def test_given_addresses_are_used_as_they_are() -> None:
    environment = {given.AMQP: "amqps://u:p@broker:5671/prod", given.REDIS: "rediss://cache:6380/2"}
    rabbitmq, redis = given.rabbitmq(environment), given.redis(environment)

    assert rabbitmq is not None
    assert redis is not None
    assert (rabbitmq.url, redis.url) == ("amqps://u:p@broker:5671/prod", "rediss://cache:6380/2")
    assert rabbitmq.url_of("t/1") == "amqps://u:p@broker:5671/t%2F1"
    assert redis.add_database() == redis.url
    assert given.rabbitmq({}) is None
    assert given.redis({}) is None


def test_a_given_server_is_never_stopped_or_emptied() -> None:
    rabbitmq, redis = given.GivenRabbitMQ("amqp://broker/", None), given.GivenRedis("redis://cache")

    for forbidden in (rabbitmq.kill, rabbitmq.stop, rabbitmq.restart, rabbitmq.flush, redis.kill, redis.wipe):
        with pytest.raises(StackError, match="started here"):
            forbidden()


def test_virtual_hosts_on_a_given_broker_need_its_http_api() -> None:
    with pytest.raises(StackError, match=given.MANAGEMENT):
        given.GivenRabbitMQ("amqp://broker/", None).add_vhost("t1")


# Installing


def test_the_wrapper_that_changes_the_user_is_not_taken_for_the_server(tmp_path: Path) -> None:
    wrapper = program(tmp_path / "bin" / "rabbitmq-script-wrapper")
    program(wrapper.with_name("rabbitmq-env"))
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "rabbitmq-server").symlink_to(wrapper)
    real = program(tmp_path / "lib" / "rabbitmq-server")
    program(real.with_name("rabbitmq-env"))

    assert install.find_rabbitmq(str(tmp_path / "sbin")) is None
    assert install.find_rabbitmq(f"{tmp_path / 'sbin'}:{tmp_path / 'lib'}") == real


def test_epmd_is_found_where_erlang_keeps_it(tmp_path: Path) -> None:
    erl = program(tmp_path / "lib" / "erlang" / "bin" / "erl")
    expected = program(tmp_path / "lib" / "erlang" / "erts-15.2" / "bin" / "epmd")

    assert epmd.found_beside(erl) == expected


@pytest.mark.parametrize("code", [0, 3])
def test_services_are_kept_from_starting_while_packages_are_installed(tmp_path: Path, code: int) -> None:
    """The fake apt-get asks the policy as Debian's packages do, and may fail."""
    policy = tmp_path / "policy-rc.d"
    said = tmp_path / "said"
    program(tmp_path / "apt-get", f'{policy}; echo "$? $*" >> {said}; [ "$1" = update ] || exit {code}')

    command = install.command_for(["redis-server"], root=True, path=str(tmp_path), policy=str(policy))
    done = subprocess.run(command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False)

    assert done.returncode == code
    assert said.read_text().splitlines() == [
        "101 update",
        "101 install --yes --no-install-recommends redis-server",
    ]
    assert not policy.exists()


def test_a_policy_of_the_machine_stays(tmp_path: Path) -> None:
    policy = program(tmp_path / "policy-rc.d", "exit 0")
    program(tmp_path / "apt-get")

    command = install.command_for(["redis-server"], root=True, path=str(tmp_path), policy=str(policy))
    subprocess.run(command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True)

    assert "exit 0" in policy.read_text()


def test_installing_goes_through_sudo_only_when_needed(tmp_path: Path) -> None:
    program(tmp_path / "apt-get")
    with pytest.raises(StackError, match="no sudo"):
        install.command_for(["redis-server"], root=False, path=str(tmp_path))
    program(tmp_path / "sudo")

    assert install.command_for(["redis-server"], root=False, path=str(tmp_path))[:2] == ["sudo", "sh"]
    assert install.command_for(["redis-server"], root=True, path=str(tmp_path))[0] == "sh"


def test_a_machine_without_apt_is_told_what_else_works(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="docker run"):
        install.command_for(["redis-server"], root=True, path=str(tmp_path))
