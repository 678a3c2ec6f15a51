"""One JSON object a line; libraries through the same lines; numbers never."""

import asyncio
import io
import logging
import warnings
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from worker.core.message.lane import Lane
from worker.settings.sections import LogSettings
from worker.telemetry.libraries import libraries_heard
from worker.telemetry.logging import Log
from worker.telemetry.telemetry import Telemetry

NUMBER = "85251234567"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Lines(io.BytesIO):
    def read_all(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def events(lines: Lines, **settings: Any) -> Telemetry:
    return Telemetry({"log": Log(LogSettings(**settings), lines, lambda: NOON)}, strict=True)


def test_a_delivery_ends_in_one_line_of_what_was_given(lines: Lines) -> None:
    events(lines).emit(
        "delivery.settled",
        lane=Lane.OTP,
        request_id=NUMBER,
        disposition="done",
        code="OK",
        total_s=0.123456789,
        redelivered=False,
        message_id="1008030300012345",
        reason=None,
    )

    assert lines.read_all() == [
        {
            "time": "2026-11-23T12:00:00.000+00:00",
            "level": "info",
            "event": "delivery.settled",
            "lane": "otp",
            "request_id": NUMBER,
            "disposition": "done",
            "code": "OK",
            "total_s": 0.1235,
            "redelivered": False,
            "message_id": "1008030300012345",
        }
    ]


def test_a_loud_event_carries_its_sentence(lines: Lines) -> None:
    events(lines).emit("hold.set", code="AMOUNT_NOT_ENOUGH", remedy="Top up.")

    assert lines.read_all()[0]["sentence"] == "Nothing of this scope can be sent: its messages wait."


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_what_is_quieter_than_the_level_is_not_written(lines: Lines, level: str, count: int) -> None:
    telemetry = events(lines, level=level)
    for name in ("slot.burnt", "hold.lifted", "broker.lost"):
        telemetry.emit(name)

    assert count == len(lines.read_all())


def test_a_field_that_holds_a_number_is_masked(lines: Lines) -> None:
    events(lines).emit("delivery.settled", reason=f"no route to +{NUMBER}", code=int(NUMBER), lane=[NUMBER])
    (line,) = lines.read_all()

    assert (line["reason"], line["code"], line["lane"]) == ("no route to *******", "*******", ["*******"])


def test_an_error_is_written_as_its_type_and_place(lines: Lines) -> None:
    try:
        int(f"no number: {NUMBER}")
    except ValueError as error:
        events(lines).emit("pipeline.failed", error=error, error_id="1" * 32)
    (line,) = lines.read_all()

    assert (line["error"], line["error_id"]) == ("ValueError", "1" * 32)
    assert line["trace"][-1].endswith("test_an_error_is_written_as_its_type_and_place")
    assert NUMBER not in lines.getvalue().decode()


def test_the_console_shows_the_same_without_numbers(lines: Lines) -> None:
    telemetry = events(lines, format="console")
    telemetry.emit("pipeline.failed", error=ValueError(NUMBER), error_id="abc")
    telemetry.emit("hold.set", code=NUMBER, remedy="Top up.")
    shown = lines.getvalue().decode()

    assert "ValueError" in shown
    assert "Top up." in shown
    assert NUMBER not in shown


@pytest.mark.parametrize("style", ["json", "console"])
def test_what_comes_from_outside_does_nothing_to_a_terminal(lines: Lines, style: str) -> None:
    hostile = "NEW\x1b]0;x\x07\u202ecode\n{}"
    events(lines, format=style).emit("provider.unlisted_code", code=hostile)
    shown = lines.getvalue().decode()

    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert shown.count("\n") == 1
    if style == "json":
        assert lines.read_all()[0]["code"] == hostile


def test_libraries_are_heard_from_warnings_on(lines: Lines) -> None:
    root = logging.getLogger()
    before = root.handlers[:]
    with libraries_heard(events(lines, level="debug")):
        logging.getLogger("aio_pika").debug("body %s", NUMBER)
        logging.getLogger("aio_pika").warning("lost %s\nbody", NUMBER)
        logging.getLogger("aio_pika").error("unhandled %r", {"body": b"Your code is 4711"})
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"old {NUMBER}", UserWarning, stacklevel=1)

    told = [(line["event"], line["logger"], line["text"]) for line in lines.read_all()]
    assert told[:2] == [
        ("library.warned", "aio_pika", "lost <str>"),
        ("library.failed", "aio_pika", "unhandled <dict>"),
    ]
    assert told[2][:2] == ("library.warned", "py.warnings")
    assert told[2][2].endswith("UserWarning: old *******")
    assert NUMBER not in lines.getvalue().decode()
    assert "Your code" not in lines.getvalue().decode()
    assert before == root.handlers


@pytest.mark.parametrize(
    ("form", "arguments", "told"),
    [
        ("try %d of %d in %.1f s", (2, 5, 0.5), "try 2 of 5 in 0.5 s"),
        ("channel %s of %r closed: %r", ("basic.consume", "aiormq.channel", ValueError(NUMBER)),
         "channel basic.consume of 'aiormq.channel' closed: <ValueError>"),
        ("body %s", (b"Your code is 4711",), "body <bytes>"),
        ("to %s: %s", (NUMBER, "your-code-is-4711"), "to <str>: <str>"),
        ("to %d", (int(NUMBER),), "to %d"),
        ("one word %s", ("4711",), "one word <str>"),
        ("%(name)s is %(state)s", ({"name": "worker.app", "state": object()},), "worker.app is <object>"),
        ("100% of it", (), "100% of it"),
        ("too few %s %s", (1,), "too few %s %s"),
        ("%.3r", (b"Your code is 4711",), "<by"),
    ],
)  # fmt: skip
def test_what_a_library_says_is_told_with_the_arguments_that_are_harmless(
    lines: Lines, form: str, arguments: tuple[Any, ...], told: str
) -> None:
    with libraries_heard(events(lines)):
        logging.getLogger("aiormq").warning(form, *arguments)

    assert [line["text"] for line in lines.read_all()] == [told]


async def test_a_lost_exception_of_a_task_is_told_without_its_text(lines: Lines) -> None:
    async def fail() -> None:
        raise ValueError(f"cannot send to {NUMBER}: the text")

    with libraries_heard(events(lines)):
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
        await asyncio.sleep(0)

    (line,) = lines.read_all()
    assert (
        line["logger"],
        line["text"],
        line["error"],
    ) == ("asyncio", "Task exception was never retrieved", "ValueError")
    assert "the text" not in lines.getvalue().decode()
