"""``sms-worker status``: what waits, how fast it goes, what is held and why, what died; once, or again and again."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import complain, console, json_line, say
from worker.cli.overview import show
from worker.operator.found import Found
from worker.operator.lookout import Lookout, ask
from worker.operator.status import summary
from worker.settings.sections import Settings

#: From one look to the next. Seconds.
_PAUSE_S: Final = 1.0

#: Writes what was found, and what could not be.
_Write: TypeAlias = Callable[[Found], None]


def status(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    again: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
) -> None:
    """Show lanes with their estimated time, rates, delay and dead-letter queues, holds, and the brake.

    Asks RabbitMQ and Redis, changes nothing, needs no worker. What waits is ready in the queues of its lane; those that
    are due waited for their time and go first, and are counted as waiting too. What is in hand, and how old the oldest
    of it is, workers tell twice a second. How old those are that wait, and which lanes the delayed ones belong to,
    nobody can know without taking them.

    The quota is that of the workers, as the last granted call told it, beside that of the configuration here; the
    learned rate is what the provider lets through of it, and foreign the part that it does not. Granted is the rate of
    the last five seconds; a lane's share, its estimate and how many of it will expire assume that it goes on, that
    nothing new comes, that a call sends one message, and that each lives as long as its lane's do. Leaves with 3 when
    RabbitMQ or Redis could not be asked, or a queue does not exist: what is known is shown all the same.

    With --watch the terminal is redrawn; elsewhere there is a block, or a line of JSON, for each look. Ctrl-C ends it,
    and it leaves as it would after its last look.

    For example:

        sms-worker status
        sms-worker status --watch
        sms-worker status --json
    """
    settings = Context.of(context).settings()
    if again:
        with _display(settings, as_json=as_json) as write:
            last = _watched(settings, write)
    else:
        last = complete(ask(settings))
        _write(last, settings, as_json=as_json)
    if last.faults:
        raise typer.Exit(exit_codes.UNAVAILABLE)


def _watched(settings: Settings, write: _Write) -> Found:
    """Look, and *write*, until somebody interrupts it; returns what was found last."""
    last: Found | None = None

    async def watch() -> None:
        nonlocal last
        async with Lookout(settings) as lookout:
            while True:
                last = await lookout.look()
                write(last)
                await asyncio.sleep(_PAUSE_S)

    try:
        complete(watch())
    except KeyboardInterrupt:
        if last is None:
            raise
    return last or Found()


@contextmanager
def _display(settings: Settings, *, as_json: bool) -> Iterator[_Write]:
    """Where looks are written one after the other: each over the one before on a terminal, else below it."""
    if as_json or not console.is_terminal:

        def append(found: Found) -> None:
            if not as_json:
                say(_clock())
            _write(found, settings, as_json=as_json)
            if not as_json:
                say("")

        yield append
        return
    # On a console of its own: everything that is written to the one that it draws on is drawn above it.
    drawing = Console(highlight=False, emoji=False)
    with Live(console=drawing, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

        def redraw(found: Found) -> None:
            with console.capture() as captured:
                say(f"{_clock()}  Ctrl-C ends it.")
                show(summary(found, settings))
                for fault in found.faults:
                    say(f"Fault: {fault}")
            live.update(Text.from_ansi(captured.get()), refresh=True)

        yield redraw


def _write(found: Found, settings: Settings, *, as_json: bool) -> None:
    if as_json:
        json_line(summary(found, settings))
    else:
        show(summary(found, settings))
    for fault in found.faults:
        complain(fault)


def _clock() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z"
