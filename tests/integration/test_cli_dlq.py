"""The operator's way with dead letters: look, bring back, throw away, carry off."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.brokers import declared, filled, looked_into, send, settings_for, take
from tests.cli import sms_worker
from tests.makers import make_fields
from tests.system import running_system
from worker.broker.connection import connected, open_channel
from worker.broker.dead_letters import DeadLetters
from worker.broker.depths import depths
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Topology

TOPOLOGY = Topology()
CONTENT = TOPOLOGY.dead_queue(ErrorClass.CONTENT)
NUMBER, TEXT = "85251234567", "Your code is 4711"
HEADERS: dict[str, Any] = {
    "x-sms-code": "SMS_CONTENT_ILLEGAL",
    "x-sms-reason": "The content is not allowed.",
    "x-sms-remedy": "Change the text.",
    "x-sms-lane": "notify",
    "x-sms-died": "2026-11-23T11:00:00.000+00:00",
    "x-sms-attempts": 2,
    "phone": NUMBER,
}
IDS = [f"r-{number}" for number in range(1, 21)]


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, amqp_url: str, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__BROKER__URL", amqp_url)
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)


def body_of(request_id: str) -> bytes:
    return orjson.dumps(make_fields(Lane.NOTIFY, id=request_id, to=NUMBER, text=TEXT))


@pytest.fixture
def bury(amqp_url: str) -> Callable[..., None]:
    """Put letters of class content into their queue, as a worker would; every other one has another code."""

    async def publish(ids: list[str]) -> None:
        await declared(amqp_url, TOPOLOGY)
        for index, one in enumerate(ids):
            headers = HEADERS | ({"x-sms-code": "INVALID_SENDERID"} if index % 2 else {})
            route = TOPOLOGY.to_dead(ErrorClass.CONTENT)
            await send(amqp_url, route.exchange, route.key, body_of(one), headers=headers, correlation_id=one)
        await filled(amqp_url, CONTENT, len(ids))

    return lambda ids=IDS: asyncio.run(publish(ids))


def left_in(url: str, queue: str, count: int) -> list[Any]:
    return asyncio.run(take(url, queue, count))


def listed(*options: str) -> list[str]:
    return [row["id"] for row in sms_worker("dlq", "list", "content", "--json", *options).rows]


def test_looking_in_every_way_harms_no_letter(bury: Callable[..., None], amqp_url: str, tmp_path: Path) -> None:
    bury()
    file = tmp_path / "content.jsonl"
    looks = [
        sms_worker("dlq", "groups"),
        sms_worker("dlq", "list", "content"),
        sms_worker("dlq", "show", "content", "r-7"),
        sms_worker("dlq", "show", "content", "20", "--json"),
        *(sms_worker("dlq", "show", "content", "1", "--json") for _ in range(2)),
        sms_worker("dlq", "list", "content", "--limit", "3"),
    ]
    opened = sms_worker("dlq", "show", "content", "r-7", "--body")
    exported = sms_worker("dlq", "export", "content", "--output", str(file))

    assert [ran.rows[0]["id"] for ran in looks[4:6]] == ["r-1", "r-1"]
    assert {ran.code for ran in (*looks, opened, exported)} == {0}
    assert not [ran.out for ran in looks if NUMBER in ran.out or TEXT in ran.out]
    assert NUMBER in opened.out
    assert TEXT in opened.out
    assert exported.out == f"exported 20 letters to {file}\n"
    letters = left_in(amqp_url, CONTENT, 20)
    assert [letter.header.properties.correlation_id for letter in letters] == IDS
    assert [letter.body for letter in letters] == [body_of(one) for one in IDS]
    headers = letters[0].header.properties.headers
    assert {name: headers[name] for name in HEADERS} == HEADERS

    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [line["id"] for line in lines] == IDS
    assert [line["body"].encode() for line in lines] == [body_of(one) for one in IDS]
    assert file.stat().st_mode & 0o077 == 0, "numbers and texts are for the owner of the file"


def test_an_export_never_takes_the_place_of_an_older_one(bury: Callable[..., None], tmp_path: Path) -> None:
    bury(["r-1"])
    file = tmp_path / "older.jsonl"
    file.write_text("older")
    ran = sms_worker("dlq", "export", "content", "--output", str(file))

    assert ran.code == 2
    assert "there is such a file already" in ran.err
    assert file.read_text() == "older"


def test_groups_and_lists_can_be_read_by_programs(bury: Callable[..., None]) -> None:
    bury()
    rows = sms_worker("dlq", "groups", "--json").rows
    assert [(row["class"], row["code"], row["letters"]) for row in rows] == [
        ("content", "SMS_CONTENT_ILLEGAL", 10),
        ("content", "INVALID_SENDERID", 10),
    ]
    few = sms_worker("dlq", "groups", "--json", "--limit", "5").rows
    assert [(row["code"], row["letters"], row["looked_at"]) for row in few][-1] == (None, 15, False)

    assert listed() == IDS
    assert listed("--code", "INVALID_SENDERID") == IDS[1::2]
    assert listed("--id", "r-3", "--id", "r-4") == ["r-3", "r-4"]
    ran = sms_worker("dlq", "list", "content", "--limit", "5")
    assert (ran.code, ran.err) == (
        0,
        "sms-worker: only the oldest 5 of 20 letters were looked at; see more with --limit\n",
    )
    assert sms_worker("dlq", "list", "expired").out == "There are no letters of class expired.\n"
    missing = sms_worker("dlq", "show", "content", "r-99")
    assert (missing.code, missing.out) == (1, "")


@pytest.mark.parametrize("command", ["status", "dlq groups", "dlq list content --json", "dlq export content"])
def test_an_output_that_is_full_is_one_sentence_and_harms_no_letter(bury: Callable[..., None], command: str) -> None:
    bury(["r-1"])
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "worker", *command.split()], stdout=full, stderr=subprocess.PIPE, check=False
        )

    told = b"sms-worker: standard output cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (1, told)
    assert listed() == ["r-1"]


COMMANDS = (("list",), ("replay", "--yes"), ("discard", "--yes"))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_what_was_asked_for_and_not_found_is_told_with_how_far_was_looked(
    bury: Callable[..., None], command: tuple[str, ...]
) -> None:
    bury()
    first, *flags = command
    for chosen in (("--code", "SMS_CONTENT_ILLEGAL"), ("--id", "r-1"), ("--from-lane", "notify")):
        wanted = (chosen[0], {"--code": "OK", "--id": "r-20", "--from-lane": "otp"}[chosen[0]])
        few = sms_worker("dlq", first, "content", *wanted, "--limit", "5", *flags)
        assert few.code == 1
        assert "no such letter among the oldest 5 of 20 letters of class content; look further with --limit" in few.err
    every = sms_worker("dlq", first, "content", "--code", "OK", *flags)
    assert (every.code, every.err) == (1, "sms-worker: no such letter among the 20 letters of class content\n")
    assert listed() == IDS


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_everything_of_an_empty_class_is_found(bury: Callable[..., None], command: tuple[str, ...]) -> None:
    bury([])
    first, *flags = command
    everything = () if first == "list" else ("--all",)

    assert sms_worker("dlq", first, "content", *everything, *flags).code == 0
    assert sms_worker("dlq", first, "content", "--code", "OK", *flags).code == 1


def test_while_somebody_looks_nobody_hears_that_there_is_nothing(bury: Callable[..., None], amqp_url: str) -> None:
    bury(["r-1"])

    commands = [("groups",), ("list", "content"), ("show", "content", "r-1"), ("export", "content")]
    commands += [("replay", "content", "--all", "--yes"), ("discard", "content", "--all", "--yes")]
    with looked_into(amqp_url, CONTENT):
        ran = [sms_worker("dlq", *command) for command in commands]

    for one in ran:
        assert one.code == 1
        assert "somebody else is looking into sms.dead.content" in one.err
    assert "letters in their hands are not counted" in " ".join(ran[0].out.split())
    assert [one.out for one in ran[1:]] == [""] * 5
    assert listed() == ["r-1"]


def test_replay_and_discard_ask_first_and_only_yes_is_yes(bury: Callable[..., None]) -> None:
    bury()
    for command in ("replay", "discard"):
        no = sms_worker("dlq", command, "content", "--all", answer="n\n")
        assert (no.code, no.out.strip()) == (1, "")
        assert "20 of 20 letters of class content" in no.err
        nobody = sms_worker("dlq", command, "content", "--all")
        assert (nobody.code, nobody.out.strip()) == (2, "")
        assert "there is nobody to ask: say --yes" in nobody.err
        unknown = sms_worker("dlq", command, "content", "--id", "r-99", "--yes")
        assert unknown.code == 1
        assert "no letter was found of: r-99" in unknown.err
        assert sms_worker("dlq", command, "content", "--code", "OK", "--yes").code == 1
        assert sms_worker("dlq", command, "expired", "--all", "--yes").code == 0
    assert listed() == IDS

    asked = sms_worker("dlq", "replay", "content", "--id", "r-2", "--id", "r-99", answer="y\n")
    assert (asked.code, asked.out.strip()) == (1, "replayed 1 letter of class content")
    assert sms_worker("dlq", "discard", "content", "--code", "INVALID_SENDERID", "--yes").code == 0
    assert listed() == IDS[::2]
    assert sms_worker("dlq", "replay", "content", "--all", "--to-lane", "otp", "--limit", "4", "--yes").code == 0
    assert listed() == IDS[8::2]


@pytest.mark.parametrize("command", ["discard", "replay"])
def test_what_came_after_the_question_was_asked_stays(
    bury: Callable[..., None], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(["r-1", "r-2"])

    def agree(question: str, **_: Any) -> bool:
        asked.append(question)
        bury(["r-2", "r-3"])  # the second has an id that was there before
        return True

    asked: list[str] = []
    monkeypatch.setattr("worker.cli.dlq.move.typer.confirm", agree)
    ran = sms_worker("dlq", command, "content", "--all")

    assert len(asked) == 1
    assert "2 of 2 letters" in asked[0]
    assert (ran.code, ran.out.split(" ", 1)[1]) == (0, "2 letters of class content\n")
    assert listed() == ["r-2", "r-3"]


def test_what_comes_when_there_was_nothing_to_ask_about_stays(
    bury: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bury([])
    looked = DeadLetters.scan

    async def scan(letters: DeadLetters, *bounds: Any) -> list[Any]:
        found = await looked(letters, *bounds)
        await asyncio.to_thread(bury, ["r-1"])
        return found

    with monkeypatch.context() as patched:
        patched.setattr(DeadLetters, "scan", scan)
        ran = sms_worker("dlq", "discard", "content", "--all")

    assert ran.out == "discarded 0 letters of class content\n"
    assert listed() == ["r-1"]


def test_the_lanes_get_what_is_replayed(bury: Callable[..., None], amqp_url: str) -> None:
    bury()
    sms_worker("dlq", "replay", "content", "--id", "r-2", "--yes")
    sms_worker("dlq", "replay", "content", "--id", "r-3", "--to-lane", "otp", "--yes")

    async def look() -> dict[Lane, int]:
        async with connected(settings_for(amqp_url), "operate") as connection:
            found = await depths(await open_channel(connection), map(TOPOLOGY.lane_queue, Lane))
        return {lane: found[TOPOLOGY.lane_queue(lane)].messages for lane in Lane}

    assert asyncio.run(look()) == {Lane.OTP: 1, Lane.NOTIFY: 1, Lane.MARKETING: 0}
    (letter,) = left_in(amqp_url, TOPOLOGY.lane_queue(Lane.NOTIFY), 1)
    assert letter.body == body_of("r-2")
    assert letter.header.properties.headers["phone"] == NUMBER


def test_a_replayed_request_has_fresh_counters_and_keeps_its_history(amqp_url: str, redis_url: str) -> None:
    async def die(*, publish: bool) -> None:
        async with running_system(amqp_url, redis_url) as system:
            if publish:
                await system.publish("notify", make_fields(Lane.NOTIFY, id="r-1", to="85290990033"))
            await system.settled(1)

    asyncio.run(die(publish=True))
    first = sms_worker("dlq", "show", "recipient", "r-1", "--json").rows[0]
    replayed = sms_worker("dlq", "replay", "recipient", "--id", "r-1", "--yes")
    assert (replayed.code, replayed.out) == (0, "replayed 1 letter of class recipient\n")
    assert sms_worker("dlq", "groups").out == "There are no dead letters.\n"
    asyncio.run(die(publish=False))
    second = sms_worker("dlq", "show", "recipient", "r-1", "--json").rows[0]

    assert (first["attempts"], first["replays"], first["code"]) == (1, 0, "MOBILE_NUMBER_ILLEGAL")
    assert (second["attempts"], second["replays"], second["code"]) == (1, 1, "MOBILE_NUMBER_ILLEGAL")
    assert second["history"][: len(first["history"])] == first["history"]
    assert len(second["history"]) == len(first["history"]) + 2, "the replay, and the second call"
    assert second["published"] >= first["published"]
