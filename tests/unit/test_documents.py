"""What the documents say is there: commands, files, metrics, keys, events, codes, tables."""

import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from typer.main import get_command

from deploy.documents import DOCUMENTS
from tests.makers import NOW, make_raw, make_request
from worker.cli import exit_codes
from worker.cli.main import app
from worker.core.message.history import History, HistoryEntry
from worker.core.message.request import SmsRequest
from worker.core.outcome.catalog import catalog
from worker.core.outcome.disposition import Dead, Done, Reason
from worker.core.outcome.outcome import DEAD_CLASSES, Accepted, ErrorClass
from worker.core.outgoing.envelope import outgoing, returned
from worker.core.topology import Topology
from worker.sandbox.magic import TABLE as MAGIC
from worker.settings.load import load
from worker.settings.sections import Settings
from worker.settings.types import Section
from worker.telemetry.events import EVENTS
from worker.telemetry.gauges import Gauges, Snapshot
from worker.telemetry.metrics import METRICS

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
RUNBOOK: Final = ROOT / "deploy" / "RUNBOOK.md"
MESSAGES: Final = ROOT / "deploy" / "MESSAGES.md"
CONFIGURATION: Final = ROOT / "deploy" / "CONFIGURATION.md"
METRICS_DOCUMENT: Final = ROOT / "deploy" / "METRICS.md"
DECISIONS: Final = ROOT / "deploy" / "DECISIONS.md"
SANDBOX: Final = ROOT / "deploy" / "SANDBOX.md"
EVERY: Final = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
#: README is read in five minutes, or not at all.
MOST_LINES: Final = 300
#: Shorter ones may be said twice: a title, a default, "nothing to do".
LONGEST_REPEATED: Final = 50

_FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: What a shell does with a command line is none of the command's business.
_SHELL: Final = re.compile(r" [&>|].*$")


def blocks(path: Path, language: str) -> list[str]:
    return [text for found, text in _FENCE.findall(path.read_text("utf-8")) if found == language]


def prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text("utf-8"))


def inline(path: Path) -> list[str]:
    """Everything in backticks outside of blocks."""
    return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", prose(path))]


def command_lines(path: Path) -> list[list[str]]:
    """The arguments of each call of sms-worker."""
    shell = [line.strip() for block in blocks(path, "sh") for line in block.splitlines()]
    calls = [_SHELL.sub("", line) for line in [*shell, *inline(path)] if line.startswith("sms-worker ")]
    return [shlex.split(call)[1:] for call in calls]


def rows(path: Path, heading: str) -> list[list[str]]:
    """The cells of each row of the table whose first column is headed *heading*."""
    text = path.read_text("utf-8")
    found = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"there is no table of {heading}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()]


def keys_of(section: Section, prefix: str = "") -> Iterator[str]:
    """The dotted names of every section and key below *section*."""
    for name in type(section).model_fields:
        yield prefix + name
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from keys_of(value, f"{prefix}{name}.")


def gauges() -> dict[str, tuple[str, ...]]:
    """The name of each gauge with its labels."""
    collector = Gauges()
    collector.snapshot = Snapshot
    return {
        family.name: tuple(sorted({label for sample in family.samples for label in sample.labels}))
        for family in collector.collect()
    }


def parse(arguments: list[str]) -> None:
    """Parse *arguments* down to the last command; raises what typer raises for wrong usage."""
    command: Any = get_command(app)
    context = None
    name = "sms-worker"
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        if not hasattr(command, "commands"):
            return
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)


# -- commands -----------------------------------------------------------------------------------------------------


@EVERY
def test_every_command_line_parses(path: Path) -> None:
    for line in command_lines(path):
        try:
            parse(line)
        except Exception as error:  # noqa: BLE001 - whatever it is, the line that is at fault must be told
            pytest.fail(f"sms-worker {shlex.join(line)}: {error}")


def test_command_lines_are_found() -> None:
    found = {path.name: len(command_lines(path)) for path in DOCUMENTS}

    assert found["README.md"] > 20
    assert found["RUNBOOK.md"] > 50
    assert found["PRODUCTION.md"] > 3


def test_a_command_line_with_an_option_that_is_not_there_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--nonsense"):
        parse(["dlq", "list", "unknown", "--nonsense"])


def test_every_command_is_shown_in_the_readme() -> None:
    root: Any = get_command(app)
    shown = {line[index] for line in command_lines(README) for index in range(len(line))} | set(inline(README))

    # make shows the demo
    assert set(root.commands) - {"demo"} - shown == set()
    assert set(root.commands["dlq"].commands) - shown == set()


@EVERY
def test_every_setting_given_in_a_command_line_can_be_loaded(path: Path) -> None:
    for line in command_lines(path):
        flags = dict(line[index + 1].split("=", 1) for index, word in enumerate(line) if word == "--set")
        load([], {}, flags)


@EVERY
def test_every_make_target_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line for block in blocks(path, "sh") for line in block.splitlines()} | set(inline(path))
    used = {line.split()[1] for line in named if line.startswith("make ")}

    assert used <= targets


def test_every_make_target_is_told() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {text.split()[1] for path in DOCUMENTS for text in inline(path) if text.startswith("make ")}

    assert targets - {"help"} - told == set()


def test_the_two_commands_are_at_the_top_of_a_short_readme() -> None:
    lines = README.read_text("utf-8").splitlines()

    assert len(lines) <= MOST_LINES
    assert {"make demo", "make test"} <= {line.partition("#")[0].strip() for line in lines[:15]}


# -- files --------------------------------------------------------------------------------------------------------


def links(path: Path) -> list[tuple[str, str]]:
    """Each link's target and, where it leads to a heading, its anchor."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", prose(path))
    return [(target, anchor) for target, anchor in found if "://" not in target]


def anchors(path: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = [line.lstrip("# ").lower() for line in prose(path).splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(path: Path) -> None:
    for target, anchor in links(path):
        place = (path.parent / target).resolve() if target else path
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), f"{target}#{anchor}"


def test_a_document_is_linked_from_the_readme_and_each_long_one_has_contents() -> None:
    linked = {(README.parent / target).resolve() for target, _ in links(README)}
    told = {path.name: {anchor for target, anchor in links(path) if not target} for path in DOCUMENTS}

    assert set(DOCUMENTS) - linked == {README}
    for path in set(DOCUMENTS) - {README, DECISIONS, SANDBOX}:
        sections = re.findall(r"^## (.+)$", prose(path), re.MULTILINE)
        wanted = {re.sub(r"[^\w -]", "", section.lower()).replace(" ", "-") for section in sections}
        assert wanted <= told[path.name], path.name


@EVERY
def test_every_file_that_is_named_exists(path: Path) -> None:
    lines = "\n".join(blocks(path, "sh"))
    mentioned = re.findall(
        r"(?<![\w/-])((?:worker|config|deploy|tests)/[\w./@-]*\w)", f"{lines}\n{' '.join(inline(path))}"
    )

    assert [name for name in mentioned if not (ROOT / name).exists()] == []


def sentences(path: Path) -> set[str]:
    """Everything of some length that is said in prose, in a list or in the cell of a table."""
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:[-|]|\d+\.) )|(?<!\\)\|", prose(path))
    words = (" ".join(re.sub(r"\]\([^)]*\)|[`*\[\]]", "", text).split()) for text in paragraphs)
    return {each for text in words for each in re.split(r"(?<=[.:;]) ", text) if len(each) >= LONGEST_REPEATED}


def test_nothing_is_said_in_two_documents() -> None:
    said = [(path.name, each) for path in DOCUMENTS for each in sentences(path)]
    times = Counter(each for _, each in said)

    assert len(times) > 500
    assert sorted((each, name) for name, each in said if times[each] > 1) == []


# -- names --------------------------------------------------------------------------------------------------------


@EVERY
def test_every_metric_that_is_named_exists(path: Path) -> None:
    histograms = {f"{metric.name}_{part}" for metric in METRICS for part in ("bucket", "sum", "count")}
    known = {metric.name for metric in METRICS} | set(gauges()) | histograms
    named = set(re.findall(r"\bsms_[a-z_]+", path.read_text("utf-8")))

    assert named - known == set()


@EVERY
def test_every_dotted_name_is_a_key_or_an_event(path: Path) -> None:
    keys = set(keys_of(Settings()))
    first_words = {name.partition(".")[0] for name in [*keys, *EVENTS]}
    dotted = [text.partition(" = ")[0] for text in inline(path)]
    named = {text for text in dotted if re.fullmatch(r"[a-z]+(\.[a-z_]+)+", text) and text.split(".")[0] in first_words}

    assert named - keys - set(EVENTS) == set()


def test_names_are_found() -> None:
    """A search that finds nothing would find no fault either."""
    told = {path.name: path.read_text("utf-8") for path in DOCUMENTS}

    assert "`limits.recipient`" in told["README.md"]
    assert "`sms_worker_braked`" in told["RUNBOOK.md"]
    assert "limits.recipient" in keys_of(Settings())
    assert {"broker.url", "log.dropped"} <= {*keys_of(Settings()), *EVENTS}


def test_every_section_of_the_configuration_has_a_heading() -> None:
    headings = re.findall(r"^## (.+)$", prose(CONFIGURATION), re.MULTILINE)

    assert headings == ["Sources", *Settings.model_fields]


@EVERY
def test_every_variable_names_a_key(path: Path) -> None:
    variables = {f"SMS_WORKER__{key.upper().replace('.', '__')}" for key in keys_of(Settings())}
    named = set(re.findall(r"SMS_WORKER__[A-Z_]*[A-Z]", path.read_text("utf-8")))

    assert {name.removesuffix("_FILE") for name in named} - variables == set()


@EVERY
def test_every_code_is_in_the_catalogue(path: Path) -> None:
    named = {
        text for text in inline(path) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+|[A-Z][A-Za-z]+\.[A-Z]\w+|local\.\w+", text)
    }
    others = {"SMS_WORKER_CONFIG", *(name for name in vars(exit_codes) if name.isupper())}

    assert {code for code in named - others if catalog().find(code, {row.table for row in catalog()}) is None} == set()


@EVERY
def test_every_queue_that_is_named_is_in_the_topology(path: Path) -> None:
    topology = Topology()
    known = {queue.name for queue in topology.queues()} | {exchange.name for exchange in topology.exchanges()}
    named = {text for text in inline(path) if re.fullmatch(r"sms\.[a-z0-9.]+", text)} - {
        "sms.request.v1",
        "sms.outcome.v1",
    }

    assert named - known == set()


# -- tables -------------------------------------------------------------------------------------------------------


def test_every_error_class_has_a_row_that_names_its_queue() -> None:
    listed = {cells[0].strip("`"): cells[2] for cells in rows(README, "class")}

    assert set(listed) == {error_class.value for error_class in ErrorClass}
    for error_class in set(DEAD_CLASSES) - {ErrorClass.ACCOUNT}:  # requests wait while the account is held
        assert f"`{Topology().dead_queue(error_class)}`" in listed[error_class.value]


def test_the_runbook_quotes_what_a_worker_says_when_it_does_not_start() -> None:
    source = "".join(path.read_text("utf-8") for path in sorted((ROOT / "worker").rglob("*.py")))
    quoted = [text.strip() for cells in rows(RUNBOOK, "sign") for text in re.findall(r'"([^"\d]+)[^"]*"', cells[0])]

    assert len(quoted) == 3
    assert [text for text in quoted if text not in source] == []


def test_the_runbook_has_a_row_for_every_dead_letter_queue() -> None:
    listed = [cells[0].strip("`") for cells in rows(RUNBOOK, "queue")]

    assert listed == [Topology().dead_queue(error_class) for error_class in DEAD_CLASSES]


def test_every_magic_number_does_something_in_the_sandbox() -> None:
    for digits, what in (cells[:2] for cells in rows(SANDBOX, "last digits")):
        ending = digits.strip("`")
        if ending.isdecimal():
            behaviour = MAGIC[ending]
            (code,) = re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", what) or [None]
            assert code in {None, behaviour.code}
            assert ("accepted" in what and "not accepted" not in what) <= behaviour.accepted


def test_every_field_of_a_request_has_a_row() -> None:
    aliases = {field.alias or name for name, field in SmsRequest.model_fields.items()}

    assert {cells[0].strip("`") for cells in rows(MESSAGES, "field")} == aliases


def test_every_header_of_ours_has_a_row() -> None:
    history = History(NOW, NOW, 1, 1, 1, 1).noted(HistoryEntry(NOW, "OK", "accepted"))
    dead = Dead(Reason(ErrorClass.INVALID, "c", "t", "r"), history)
    raw = make_raw(headers={"large": "x" * 40_000})
    published = [
        outgoing(raw, make_request(), dead, Topology(), NOW),
        returned(raw, Topology(), NOW),
    ]
    written = {name for message in published if message for name in message.headers if name.startswith("x-sms-")}

    assert {cells[0].strip("`") for cells in rows(MESSAGES, "header")} == written


# -- examples -----------------------------------------------------------------------------------------------------


def test_the_output_of_the_demo_is_told_in_its_own_words() -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "worker" / "cli" / "demo").glob("*.py")))
    (sample,) = [block for block in blocks(SANDBOX, "text") if "Requests by final queue" in block]
    sentences = [line for line in sample.splitlines() if re.fullmatch(r"[A-Z][^│┃\d]*", line)]

    assert len(sentences) >= 6
    assert [sentence for sentence in sentences if sentence not in source] == []
    assert blocks(README, "text")[-1] == f"{sample.splitlines()[-1]}\n"


def test_the_example_of_a_request_is_taken_and_that_of_an_outcome_is_told() -> None:
    request, outcome = blocks(MESSAGES, "json")
    (line,) = blocks(METRICS_DOCUMENT, "json")
    done = Done(Accepted("1", "2", 1, "Hongkong, China"), History(published=NOW).called(NOW))
    event = outgoing(make_raw(), make_request(), done, Topology(), NOW)

    SmsRequest.model_validate_json(request)
    assert event is not None
    assert orjson.loads(outcome).keys() == orjson.loads(event.body).keys()
    assert orjson.loads(line).keys() - {"time", "level", "event"} <= EVENTS["delivery.settled"].fields


def test_the_examples_in_python_are_python() -> None:
    examples = blocks(MESSAGES, "python")

    assert len(examples) == 2
    for example in examples:
        compile(example, MESSAGES.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_each_decision_has_a_number_of_its_own_and_says_what_was_given_up() -> None:
    decisions = re.split(r"^## ", DECISIONS.read_text("utf-8"), flags=re.MULTILINE)[1:]

    assert [int(decision.partition(".")[0]) for decision in decisions] == list(range(1, len(decisions) + 1))
    assert [decision.partition("\n")[0] for decision in decisions if decision.count("- **Given up.**") != 1] == []
