"""Write the parts of the documents that the code knows better: settings, codes, metrics, events, folders.

A part stands between two comments, ``<!-- generated: NAME -->`` and ``<!-- end -->``. ``make documents`` renews all of
them, and a test fails while one of them is stale.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from worker.cli import exit_codes
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Table
from worker.delivery import pipeline
from worker.limiter.rights import acl_command
from worker.settings.sections import RedisSettings, Settings
from worker.settings.types import Section
from worker.telemetry.events import EVENTS
from worker.telemetry.gauges import Gauges, Snapshot
from worker.telemetry.metrics import METRICS

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = (ROOT / "README.md", *sorted((ROOT / "deploy").glob("*.md")))
#: Every key with its default, and in its comments what it means; tests hold it to the code.
SETTINGS: Final = ROOT / "config" / "worker.toml"

_PART: Final = re.compile(r"(<!-- generated: ([a-z -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD: Final = re.compile(r"\[{1,2}([a-z.]+)\]{1,2}")
_KEY: Final = re.compile(r"(?:# )?([a-z_]+) = ")
_EXIT_CODE: Final = re.compile(r"((?:^#: .*\n)+)^([A-Z_]+): Final = (\d+)$", re.MULTILINE)
_STEP: Final = re.compile(r"^ {4}(\w+) +(\S+\.py) +(.+?)(?: *-> (.+))?$", re.MULTILINE)
#: The keys of all lanes mean the same; they are explained for the first one.
_LANE: Final = re.compile(r"^lanes\.[a-z]+")
_FIRST: Final = "lanes.otp"
#: Tables of codes that the answer to a send can have; the others are of receipts and of queries.
_OF_SENDS: Final = (Table.API, Table.GATEWAY, Table.LEGACY, Table.LOCAL)


def renewed(text: str) -> str:
    """A document's *text* with every generated part as the code has it now.

    Raises:
        KeyError: it asks for a part that nothing generates.
    """
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", text)


def meanings() -> dict[str, str]:
    """What each key means, by its dotted name: the comment above it in ``config/worker.toml``."""
    found: dict[str, str] = {}
    section, comment = "", list[str]()
    for line in SETTINGS.read_text("utf-8").splitlines():
        if head := _HEAD.fullmatch(line):
            section = head[1]
            _keep(found, section, comment)
        elif key := _KEY.match(line):
            _keep(found, f"{section}.{key[1]}", comment)
        elif line.startswith("# "):
            comment.append(line[2:])
            continue
        comment.clear()
    return found


def _keep(found: dict[str, str], name: str, comment: list[str]) -> None:
    if comment:
        found.setdefault(name, " ".join(comment))


@cache
def _defaults() -> Mapping[str, Any]:
    return tomllib.loads(SETTINGS.read_text("utf-8"))


def _settings(section: str) -> str:
    """The keys of *section* with their defaults and meanings."""
    told = meanings()
    keys = (name for name in _keys(Settings(), "") if name.startswith(f"{section}."))
    return table(
        ("key", "default", "meaning"),
        ((f"`{name}`", _default(name), told.get(name) or f"As `{_LANE.sub(_FIRST, name)}`.") for name in keys),
    )


def _keys(section: Section, prefix: str) -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _default(name: str) -> str:
    value: Any = _defaults()
    for part in name.split("."):
        value = value.get(part, {})
    match value:
        case []:
            return "none"
        case dict():
            return "none"
        case [dict(), *_]:
            return ", ".join(f"`{_inline(each)}`" for each in value)
        case _:
            return f"`{_toml(value)}`"


def _inline(value: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)


def _codes() -> str:
    rows = (row for row in catalog() if row.table in _OF_SENDS)
    return table(
        ("code", "SMPP", "class", "what it says"),
        ((f"`{row.code}`", row.smpp_code or "", f"`{row.error_class.value}`", row.description) for row in rows),
    )


def _exit_codes() -> str:
    source = Path(exit_codes.__file__).read_text("utf-8")
    return table(
        ("exit code", "name", "meaning"),
        (
            (number, f"`{name}`", " ".join(line.removeprefix("#: ") for line in comment.splitlines()))
            for comment, name, number in _EXIT_CODE.findall(source)
        ),
    )


def _metrics() -> str:
    gauges = Gauges()
    gauges.snapshot = Snapshot
    told = [(metric.name, metric.kind.value, metric.labels, metric.sentence) for metric in METRICS]
    for family in gauges.collect():
        labels = sorted({label for sample in family.samples for label in sample.labels})
        told.append((family.name, "gauge", tuple(labels), family.documentation))
    return table(
        ("metric", "kind", "labels", "what"),
        ((f"`{name}`", kind, ", ".join(labels), sentence) for name, kind, labels, sentence in told),
    )


def _events() -> str:
    """Every event; what is reported goes to Sentry too."""
    return table(
        ("event", "level", "fields", "what"),
        (
            (
                f"`{event.name}`",
                f"{event.level.value}, Sentry" if event.reported else event.level.value,
                ", ".join(sorted(event.fields)),
                event.sentence,
            )
            for event in EVENTS.values()
        ),
    )


def _redis_acl() -> str:
    return f"```text\n{acl_command(RedisSettings())}\n```"


def _way() -> str:
    """The steps of a message, as the head of the pipeline has them."""
    steps = _STEP.findall(pipeline.__doc__ or "")
    return table(
        ("step", "file", "from", "to"),
        ((step, _link(f"worker/{file}"), source, result) for step, file, source, result in steps),
    )


def _folders() -> str:
    """Every package with the first line of what it says of itself."""
    packages = sorted((ROOT / "worker").rglob("*/__init__.py"))
    told = ((path, ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "") for path in packages)
    return table(
        ("folder", "what"),
        ((_link(str(path.parent.relative_to(ROOT))), text.splitlines()[0].replace("``", "")) for path, text in told),
    )


def _link(name: str) -> str:
    """A link from a document in ``deploy/``."""
    return f"[{name}](../{name})"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    r"""A table in Markdown.

    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    |---|---|
    | 1 | x\|y |
    """
    ruler = "|" + "---|" * len(head)
    return "\n".join((_line(head), ruler, *map(_line, rows)))


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    **{f"settings {name}": lambda name=name: _settings(name) for name in Settings.model_fields},  # type: ignore[misc]
    "codes": _codes,
    "exit codes": _exit_codes,
    "metrics": _metrics,
    "events": _events,
    "redis acl": _redis_acl,
    "way": _way,
    "folders": _folders,
}


def main() -> None:
    """Renew every document, and name those that changed."""
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        if (new := renewed(text)) != text:
            path.write_text(new, "utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
