"""The command line: parsing, exit codes, and the commands that need no server."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.main import get_command

from tests.cli import sms_worker
from worker import __version__
from worker.cli import run as run_command
from worker.cli.main import app
from worker.core.outgoing.contract import files
from worker.core.topology import Topology
from worker.errors import (
    BrokerUnavailable,
    LimiterUnavailable,
    PublishUnconfirmed,
    SettingsError,
    TopologyMismatch,
    Unroutable,
    UsageError,
)
from worker.settings.sections import Settings

COMMANDS = [
    *([], ["run"], ["publish"], ["status"], ["codes"], ["sandbox"], ["simulate"], ["demo"]),
    *(["dlq"], ["holds"], ["limits"], ["topology"], ["config"]),
    *(["dlq", name] for name in ("groups", "list", "show", "replay", "discard", "export")),
    *(["holds", name] for name in ("list", "set", "release")),
    *(["limits", name] for name in ("show", "set", "reset", "log")),
    *(["topology", name] for name in ("declare", "verify", "show")),
    *(["config", name] for name in ("check", "show", "redis-acl", "contract")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    ran = sms_worker(*command, "--help")

    assert (ran.code, ran.err) == (0, "")
    assert f"Usage: {' '.join(['sms-worker', *command])}" in ran.out
    if command not in ([], ["dlq"], ["holds"], ["limits"], ["topology"], ["config"]):
        assert "or example" in ran.out


@pytest.mark.parametrize("command", [[], ["dlq"], ["holds"], ["limits"], ["topology"], ["config"]])
def test_a_group_without_a_command_shows_its_help(command: list[str]) -> None:
    ran = sms_worker(*command)

    assert (ran.code, ran.err) == (2, "")
    assert "Usage:" in ran.out


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'; see: sms-worker --help"),
        (["run", "--lanes", "otp,sms"], "--lanes otp,sms: choose among otp, notify, marketing, separated by commas"),
        (["--set", "x=1", "config", "check"], "--set x=1: write it as section.key=value"),
        (["--config", "/none.toml", "config", "check"], "--config /none.toml: "),
        (["dlq", "list", "accepted"], "'accepted' is none of internal, poison, unknown"),
        (["dlq", "list"], "Missing argument 'CLASS'"),
        (["dlq", "list", "content", "--limit", "0"], "--limit"),
        (["dlq", "replay", "content"], "choose letters with --id, --code or --from-lane, or say --all"),
        (["dlq", "discard", "content", "--all", "--id", "r-1"], "choose letters with"),
        (["publish"], "give a file, or the options of one request"),
        (["publish", "x.csv", "--to", "852"], "give a file, or the options of one request"),
        (["publish", "x.csv", "--id", "r-1"], "give a file, or the options of one request"),
        (["publish", "--to", "852"], "--id: give the request an id"),
        (["publish", "--id", "r-1", "--template", "T", "--param", "x"], "--param x: write it as name=value"),
        (["publish", "--id", "r-1", "--type", "SMS"], "'SMS' is not one of 'OTP', 'NOTIFY', 'MKT'; see: sms-worker"),
        (["publish", "--to", "+85251234567", "--to", "+85251234568"], "--to: is given twice; give it once"),
        (["publish", "--text", "a", "--id", "r-1", "--text", "a"], "--text: is given twice; give it once"),
        (["publish", "--id", "r-1", "--param", "a=1", "--param", "a=2"], "--param a: is given twice; give it once"),
        (["publish", "--id", "r-1", "--to", "852", "--skip", "7"], "--skip, --format: go with a file"),
        (["publish", "--id", "r-1", "--to", "852", "--format", "csv"], "--skip, --format: go with a file"),
        (["codes", "--class", "account", "--class", "content"], "--class: is given twice; give it once"),
        (["dlq", "list", "content", "--limit", "5", "--limit=6"], "--limit: is given twice; give it once"),
        (["holds", "set", "account", "--reason", "x", "--reason", "y"], "--reason: is given twice; give it once"),
        (["config", "contract", "-o", "x", "--output", "y"], "is given twice; give it once"),
        (["--set", "log.level=info", "--set", "log.level=debug", "config", "check"], "--set log.level: is given twice"),
        (["publish", "none.csv"], "none.csv: No such file or directory"),
        (["demo", "--workers", "0"], "--workers"),
        (["holds", "set", "account"], "Missing option '--reason'"),
        (["holds", "set", "account", "--reason", " "], "--reason: give 1 to 200 characters"),
        (["holds", "set", "account", "ACME", "--reason", "x"], "the account is one: leave out what follows it"),
        (["holds", "set", "sender", "--reason", "x"], "which sender? write: sender ID"),
        (["holds", "set", "country", "SG", "--reason", "x"], "SG is no calling code"),
        (["holds", "set", "country", "65", "--reason", "x", "--for", "2 hours"], "must be a number and a unit"),
        (["holds", "release", "number", "852"], "'number' is none of account, sender, country"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_leaves_with_2(command: list[str], sentence: str) -> None:
    ran = sms_worker(*command)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("sms-worker: ")
    assert sentence in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (UsageError("x"), 2),
        (BrokerUnavailable("x"), 3),
        (PublishUnconfirmed("x"), 3),
        (LimiterUnavailable("x"), 3),
        (TopologyMismatch("x"), 3),
        (Unroutable("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    def fail(_: Settings) -> bool:
        raise error

    monkeypatch.setattr(run_command, "run_worker", fail)
    ran = sms_worker("run")

    assert (ran.code, ran.out, ran.err) == (code, "", "sms-worker: x\n")


def test_a_worker_that_left_with_something_in_hand_says_so_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_command, "run_worker", lambda _: False)
    assert sms_worker("run").code == 4
    monkeypatch.setattr(run_command, "run_worker", lambda _: True)
    assert sms_worker("run").code == 0


def test_the_lanes_of_a_worker_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def look(settings: Settings) -> bool:
        seen.append(settings)
        return True

    monkeypatch.setattr(run_command, "run_worker", look)
    sms_worker("run", "--lanes", "notify, otp,notify")

    assert seen[0].worker.lanes == ("notify", "otp")


def test_a_bug_tells_its_place_and_not_the_text_of_its_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Settings) -> bool:
        raise ValueError("cannot encode 'Your code is 4711'")

    monkeypatch.setattr(run_command, "run_worker", fail)
    ran = sms_worker("run")

    assert ran.code == 1
    assert "an error of this program" in ran.err
    assert "ValueError" in ran.err
    assert "worker.cli.run" in ran.err
    assert "4711" not in ran.err


def test_an_interrupted_command_leaves_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Settings) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run_worker", interrupted)

    assert sms_worker("run").code == 130


def test_every_option_of_every_command_that_has_one_value_is_given_once() -> None:
    """By what the parser knows of each option, so that a new one is not forgotten."""
    root = get_command(app)
    commands = [([], root), *((path, command_of(root, path)) for path in COMMANDS if path)]
    tried = 0
    for path, command in commands:
        for option in command.params:
            if option.param_type_name == "option" and not (option.multiple or option.is_flag):
                tried += 1
                ran = sms_worker(*path, option.opts[-1], "1", option.opts[-1], "1")
                assert (ran.code, "is given twice; give it once" in ran.err) == (2, True), (path, option.opts)
    assert tried > 20


def command_of(root: Any, path: list[str]) -> Any:
    for name in path:
        root = root.commands[name]
    return root


def test_what_may_be_given_again_still_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(f'[broker]\nnamespace = "{name}"\n')
    files = [part for name in ("one", "two") for part in ("--config", f"{tmp_path}/{name}.toml")]

    ran = sms_worker(*files, "--set", "log.level=info", "--set", "http.port=1", "config", "show", "--json", "--json")
    assert (ran.code, orjson.loads(ran.out)["broker"]["namespace"]) == (0, "two")


def test_the_version_is_told() -> None:
    assert sms_worker("--version").out == f"{__version__}\n"


# -- codes ------------------------------------------------------------------------------------------------------------


def test_a_code_is_found_by_its_name_and_by_its_pattern() -> None:
    (exact,) = sms_worker("codes", "FREQUENCY_LIMIT_DAY", "--json").rows
    (pattern,) = sms_worker("codes", "Throttling.User", "--json").rows

    assert (exact["class"], exact["smpp_code"]) == ("limited", "83")
    assert (pattern["code"], pattern["class"]) == ("Throttling*", "throttled")


@pytest.mark.parametrize(
    ("written", "code"), [("33", "MOBILE_NUMBER_ILLEGAL"), ("frequency_limit_day", "FREQUENCY_LIMIT_DAY")]
)
def test_a_code_is_found_as_tables_show_it_and_however_it_is_typed(written: str, code: str) -> None:
    (row,) = sms_worker("codes", written, "--json").rows

    assert row["code"] == code


@pytest.mark.parametrize("asked", [("OK", "--class", "account"), ("",), ("34567",)])
def test_a_code_that_is_not_there_is_a_failure(asked: tuple[str, ...]) -> None:
    ran = sms_worker("codes", *asked)

    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_codes_can_be_chosen_by_class_and_table() -> None:
    rows = sms_worker("codes", "--class", "account", "--table", "gateway", "--json").rows

    assert rows
    assert {(row["class"], row["table"]) for row in rows} == {("account", "gateway")}


def test_an_unknown_code_says_what_would_become_of_it() -> None:
    ran = sms_worker("codes", "NO_SUCH_CODE")

    assert (ran.code, ran.out) == (1, "")
    assert "counts as unknown" in ran.err


def test_the_operators_own_class_is_shown(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[catalog.classes]\nSYSTEM_ERROR = "content"\n')
    (row,) = sms_worker("--config", str(tmp_path / "own.toml"), "codes", "SYSTEM_ERROR", "--json").rows

    assert row["class"] == "content"


# -- config -----------------------------------------------------------------------------------------------------------


def test_every_fault_of_the_configuration_is_listed_and_no_secret_told() -> None:
    faults = ["quota.send_message_to_globe=9999", "broker.urll=amqp://me:s3cret@host/", "http.port=none"]
    ran = sms_worker(*(part for fault in faults for part in ("--set", fault)), "config", "check")

    assert ran.code == 2
    assert ran.err.startswith("sms-worker: the configuration has 3 faults:\n")
    assert all(fault.split("=")[0] in ran.err for fault in faults)
    assert "s3cret" not in ran.err


def test_a_configuration_without_a_fault_is_said_to_be_so() -> None:
    ran = sms_worker("config", "check")

    assert (ran.code, ran.err, ran.out) == (0, "", "The configuration has no fault.\n")


def test_an_address_by_which_others_could_read_or_answer_is_warned_of() -> None:
    ran = sms_worker("--set", "broker.url=amqps://h/?no_verify_ssl=1", "config", "check")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(
        "Warning: broker.url has no_verify_ssl=1: anybody on the way could read and answer in its"
    )
    assert ran.out.endswith("\nThe configuration has no fault.\n")


def test_files_come_from_the_environment_unless_the_command_line_names_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(f'[broker]\nnamespace = "{name}"\n')
    monkeypatch.setenv("SMS_WORKER_CONFIG", f"{tmp_path}/two.toml:{tmp_path}/one.toml")

    def namespace(*arguments: str) -> Any:
        return json.loads(sms_worker(*arguments, "config", "show", "--json").out)["broker"]["namespace"]

    assert namespace() == "one"
    assert namespace("--config", f"{tmp_path}/two.toml") == "two"
    assert namespace("--set", "broker.namespace=three") == "three"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_values_in_force_are_shown_and_secrets_masked(form: list[str]) -> None:
    key = ["provider.access_key_id=id", "provider.access_key_secret=s3cret", "broker.url=amqp://me:s3cret@rabbit/"]
    ran = sms_worker(*(part for each in key for part in ("--set", each)), "config", "show", *form)

    assert "s3cret" not in ran.out
    assert "amqp://me:***@rabbit/" in ran.out
    assert "otp" in ran.out


def test_the_contract_of_publishers_is_written_for_the_configured_namespace(tmp_path: Path) -> None:
    ran = sms_worker("--set", "broker.namespace=shop", "config", "contract", "--output", str(tmp_path))

    assert ran.code == 0
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == files(Topology("shop"), __version__)
    assert yaml.safe_load(written["asyncapi.yaml"])["channels"]["done"]["address"] == "shop.done"
    orjson.loads(written["sms.request.v1.schema.json"])


def test_the_contract_needs_a_directory(tmp_path: Path) -> None:
    ran = sms_worker("config", "contract", "--output", str(tmp_path / "none"))

    assert ran.code == 2
    assert "No such file or directory" in ran.err


# -- topology ---------------------------------------------------------------------------------------------------------


def test_the_designed_topology_is_shown_without_asking_the_broker() -> None:
    rows = sms_worker("--set", "broker.namespace=shop", "topology", "show", "--json").rows
    designed = Topology("shop")

    assert [row["name"] for row in rows] == [
        *(queue.name for queue in designed.queues()),
        *(exchange.name for exchange in designed.exchanges()),
    ]
    assert rows[0]["arguments"]["x-queue-type"] == "quorum"
    assert "shop.send.otp" in sms_worker("--set", "broker.namespace=shop", "topology", "show").out
