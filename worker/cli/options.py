"""Options that several commands have."""

from typing import Annotated, TypeAlias

import typer

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]
