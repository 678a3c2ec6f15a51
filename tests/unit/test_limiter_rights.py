"""The rights of a worker's user in Redis are those that the scripts need."""

import re
from importlib.resources import files
from pathlib import Path

from pydantic import SecretStr

from worker.limiter import scripts
from worker.limiter.rights import SENT, acl_command, commands_of, refused_command
from worker.limiter.scripts import Script
from worker.settings.sections import RedisSettings

ROOT = Path(__file__).parents[2]


def test_every_file_of_lua_is_in_a_script_whose_commands_are_counted() -> None:
    counted = {line for script in scripts.EVERY for line in script.text.splitlines()}

    for file in files("worker.limiter").joinpath("lua").iterdir():
        if file.name.endswith(".lua"):
            assert set(file.read_text("utf-8").splitlines()) <= counted, file.name


def test_every_call_of_the_scripts_is_one_whose_command_can_be_read() -> None:
    for script in scripts.EVERY:
        calls = re.findall(r"redis\.p?call\b.{0,12}", script.text)
        assert calls
        assert [call for call in calls if not re.match(r"redis\.p?call\('[A-Z]+'", call)] == [], script.name


def test_commands_in_comments_are_none() -> None:
    text = "-- redis.call('FLUSHALL')\nredis.call('GET', redis.pcall('HGET', 1, 2)) -- redis.call('DEL', 1)"

    assert commands_of(text) == ["get", "hget"]


def test_the_command_names_the_namespace_the_user_and_no_password() -> None:
    told = acl_command(RedisSettings(url=SecretStr("redis://bob%40x:hunter2@h"), namespace="eu"))

    assert told.startswith("ACL SETUSER bob@x on resetkeys ~{eu}:* resetchannels -@all +")
    assert "hunter2" not in told
    assert {f"+{command}" for command in (*SENT, "sadd", "smembers", "srem", "hexists", "hincrby")} <= set(told.split())
    assert "+flushall" not in told


def test_the_checklist_has_the_command_as_it_is_generated() -> None:
    assert f"\n{acl_command(RedisSettings())}\n" in (ROOT / "deploy" / "PRODUCTION.md").read_text("utf-8")


def test_a_refusal_that_tells_a_line_is_told_with_the_command_of_that_line() -> None:
    script = Script("some", "local a = 1\nredis.call('SADD', KEYS[1], a)\nreturn 5", "")

    assert refused_command(script, "can't run this command script: 4711, on @user_script:2.") == "sadd"
    assert refused_command(script, "can't run this command script: 4711, on @user_script:3.") is None
    assert refused_command(script, "can't run this command script: 4711, on @user_script:9.") is None
    assert refused_command(script, "nothing") is None
