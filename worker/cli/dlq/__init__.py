"""``sms-worker dlq``: the dead letters. Looking never changes them; replay and discard say what they will do first."""

import typer

from worker.cli.dlq.export import export
from worker.cli.dlq.look import groups, list_letters, show
from worker.cli.dlq.move import discard, replay

app = typer.Typer(no_args_is_help=True, help="Look into the dead-letter queues, replay, discard and export.")
app.command()(groups)
app.command("list")(list_letters)
app.command()(show)
app.command()(replay)
app.command()(discard)
app.command()(export)

__all__ = ["app"]
