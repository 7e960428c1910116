"""``diagnose api | redis | projects``: is it the system, or is it me."""

import typer

from worker_image.cli.api import ApiError
from worker_image.cli.context import session
from worker_image.cli.output import table

app = typer.Typer(help="Is the system well?", no_args_is_help=True)


@app.command()
def api(context: typer.Context) -> None:
    """Ask the API whether it can serve."""
    with session(context, "diagnose.api") as current:
        answer = current.api.get("/health/ready")
        current.output.success(answer, message="The API answers and reaches all its services.")


@app.command("redis")
def redis_servers(context: typer.Context) -> None:
    """Ask the API whether it reaches the broker and the result channel."""
    with session(context, "diagnose.redis") as current:
        answer = current.api.get("/health/ready")
        silent = [name for name in ("broker", "channel") if answer.get(name) != "ok"]
        if silent:
            raise ApiError("unavailable", f"The API does not reach: {', '.join(silent)}.")
        current.output.success(answer, message="Broker and channel answer.")


@app.command()
def projects(context: typer.Context) -> None:
    """List projects that are not well, with the reason."""
    with session(context, "diagnose.projects") as current:
        listed = [
            {**project, "reason": (project["failure"] or {}).get("message", "")}
            for project in current.api.list("/api/projects/", status="failed")
        ]
        current.output.success(listed, show=table(("id", "name", "status", "reason"), listed))
