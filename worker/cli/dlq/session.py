"""What every command about dead letters does: connect, act, and say when it did not look at all of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import typer

from worker.broker.dead_letters import MOST, DeadLetters, open_dead_letters
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.output import complain, counted
from worker.cli.quiet import Quiet
from worker.core.outcome.outcome import ErrorClass
from worker.settings.policy import topology_of

T = TypeVar("T")


def with_letters(context: typer.Context, act: Callable[[DeadLetters], Awaitable[T]]) -> T:
    """Let *act* see the dead letters of the configured namespace; raises BrokerUnavailable, and what *act* raises."""
    settings = Context.of(context).settings()

    async def connect() -> T:
        topology = topology_of(settings)
        async with open_dead_letters(settings.broker, topology, Quiet(), now=lambda: datetime.now(UTC)) as letters:
            return await act(letters)

    return complete(connect())


def tell_unseen(seen: int, depth: int) -> None:
    """Say so when only *seen* of *depth* letters were looked at."""
    if seen < depth:
        complain(f"only the oldest {seen} of {depth} letters were looked at; see more with --limit")


def tell_none(error_class: ErrorClass, seen: int, depth: int) -> None:
    """Say that no letter is as it was asked for, and how far that is known."""
    if seen < depth:
        letters = f"the oldest {seen} of {depth} letters of class {error_class.value}"
        complain(f"no such letter among {letters}; look further with --limit, {MOST} at the most")
    else:
        complain(f"no such letter among the {counted(depth, 'letter')} of class {error_class.value}")
