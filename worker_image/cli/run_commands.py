"""``run`` and ``watch``: from a sentence to a URL, with the live card."""

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.live import Live

from worker_image.cli.api import Api, ApiError
from worker_image.cli.card_view import draw
from worker_image.cli.context import Session, session
from worker_image.cli.project_commands import MODULES_HELP
from worker_image.cli.task_commands import TaskArgument, begin
from worker_image.cli.waiting import FINAL, report

_POLL_SECONDS = 0.3
#: Silent polls before giving up; each of them has tried three times.
_PATIENCE = 20
_NAME_CHARACTERS = 60


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(run)
    app.command()(watch)


def run(
    context: typer.Context,
    description: Annotated[str, typer.Argument(metavar="DESCRIPTION", help="One sentence is enough.")],
    name: Annotated[str, typer.Option(help="Name of the project; by default the first words.")] = "",
    modules: Annotated[str, typer.Option(help=MODULES_HELP)] = "backend",
    watching: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay and show the card.")] = True,
) -> None:
    """Create a project from a sentence, have it built, tested and deployed."""
    with session(context, "project.create") as current:
        body = {
            "name": name or name_from(description),
            "description": description,
            "modules": [part.strip() for part in modules.split(",") if part.strip()],
        }
        project = current.api.post("/api/projects/", body, create=True)
        # One task carries the deployment too, so nothing is lost when this terminal is closed.
        started = begin(
            current.api, project_id=project["id"], type="engineering", spec=description, deploy_after=True
        )
        if not watching:
            current.output.success(started, message=f"Started. Watch it: orchestrator watch {started['id']}")
            return
        _watch(current, started["id"])


def watch(context: typer.Context, task_id: TaskArgument) -> None:
    """Show the live card of a task until it has ended."""
    with session(context, "engineering.status", "deploy.status") as current:
        _watch(current, task_id)


def name_from(description: str) -> str:
    """Return a project's name made of the first words of its description."""
    name = ""
    for word in description.split():
        if len(name) + len(word) + 1 > _NAME_CHARACTERS:
            break
        name = f"{name} {word}".strip()
    return name or " ".join(description.split())[:_NAME_CHARACTERS]


def follow(api: Api, task_id: str, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Show a task's card until it is final and return the last one; a moment of silence is only a pause.

    Args:
        api: where the card comes from.
        task_id: whose card.
        show: called with every frame.

    Raises:
        ApiError: the API refuses, or did not answer for a while.
    """
    silent = 0
    while True:
        try:
            card: dict[str, Any] = api.get(f"/api/tasks/{task_id}/card/")
            silent = 0
        except ApiError as error:
            silent += 1
            if error.kind != "unavailable" or silent > _PATIENCE:
                raise
            time.sleep(1.0)
            continue
        show(card)
        if card["status"] in FINAL:
            return card
        time.sleep(_POLL_SECONDS)


def _watch(current: Session, task_id: str) -> None:
    if current.output.as_json:
        card = follow(current.api, task_id, lambda _card: None)
    else:
        with Live(console=current.output.console, auto_refresh=False, vertical_overflow="visible") as live:
            card = follow(current.api, task_id, lambda frame: live.update(draw(frame), refresh=True))
    task = current.api.get(f"/api/tasks/{task_id}/")
    shown = {**task, "status": card["status"], "failure": card["failure"], "card": card}
    report(current.output, shown, url=card["url"])
