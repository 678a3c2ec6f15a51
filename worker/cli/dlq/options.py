"""Arguments and options that several commands about dead letters have."""

from typing import Annotated, TypeAlias

import typer

from worker.broker.dead_letters import MOST
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass


def dead_class(text: str) -> ErrorClass:
    """The class *text*; raises BadParameter unless it has a dead-letter queue."""
    if text not in DEAD_CLASSES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(DEAD_CLASSES)}")
    return ErrorClass(text)


ClassArgument: TypeAlias = Annotated[
    ErrorClass,
    typer.Argument(metavar="CLASS", parser=dead_class, show_choices=False, help=f"One of {', '.join(DEAD_CLASSES)}."),
]
LimitOption: TypeAlias = Annotated[int, typer.Option(help="Look at the oldest so many letters.", min=1, max=MOST)]
IdsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--id", help="Letters of this request id; may be given again.")
]
CodeOption: TypeAlias = Annotated[str | None, typer.Option(help="Letters with this code.")]
LaneOption: TypeAlias = Annotated[Lane | None, typer.Option("--from-lane", help="Letters that came from this lane.")]
AllOption: TypeAlias = Annotated[bool, typer.Option("--all", help="Every letter that is looked at.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
