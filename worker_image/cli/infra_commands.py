"""``infra``: where projects run, what is wrong there, and what is done about it."""

from typing import Annotated, Any

import typer

from worker_image.cli import server_commands
from worker_image.cli.context import session
from worker_image.cli.output import table

app = typer.Typer(help="Where projects run.", no_args_is_help=True)
app.add_typer(server_commands.servers, name="servers")
server_commands.register(app)


@app.callback()
def infra() -> None:
    """Where projects run."""


@app.command()
def incidents(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    resolve: Annotated[
        int | None, typer.Option(help="Close this one; what is still wrong opens anew.")
    ] = None,
) -> None:
    """List what is wrong with servers and services; for operators."""
    with session(context) as current:
        if resolve is not None:
            closed: dict[str, Any] = current.api.post(f"/api/incidents/{resolve}/resolve/")
            current.output.success(closed, show=table(("id", "key", "status"), [closed]))
            return
        listed = list(current.api.list("/api/incidents/", **({} if every else {"status": "open"})))
        columns = ("id", "severity", "status", "message", "count", "opened_at")
        current.output.success(listed, show=table(columns, listed, nothing="Nothing is wrong."))
