"""``infra servers``."""

import typer

from worker_image.cli.context import session
from worker_image.cli.output import table

app = typer.Typer(help="Where projects run.", no_args_is_help=True)


@app.callback()
def infra() -> None:
    """Where projects run."""


@app.command()
def servers(context: typer.Context) -> None:
    """List the servers."""
    with session(context, "infra.servers") as current:
        listed = list(current.api.list("/api/servers/"))
        current.output.success(listed, show=table(("id", "name", "kind", "host", "status"), listed))
