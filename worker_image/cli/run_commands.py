"""``run`` and ``watch``: from a sentence to a URL, with the live card."""

import time
from typing import Annotated, Any

import typer
from rich.live import Live

from worker_image.cli.api import ApiError
from worker_image.cli.card_view import draw
from worker_image.cli.context import Session, session
from worker_image.cli.task_commands import TaskArgument, begin
from worker_image.cli.waiting import FINAL, report

_POLL_SECONDS = 0.3
_NAME_CHARACTERS = 60


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the tree."""
    app.command()(run)
    app.command()(watch)


def run(
    context: typer.Context,
    description: Annotated[str, typer.Argument(metavar="DESCRIPTION", help="One sentence is enough.")],
    name: Annotated[str, typer.Option(help="Name of the project; by default the first words.")] = "",
    modules: Annotated[str, typer.Option(help="Comma-separated parts of the template.")] = "backend",
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
    with session(context, "engineering.status") as current:
        _watch(current, task_id)


def name_from(description: str) -> str:
    """Return a project's name made of the first words of its description."""
    name = ""
    for word in description.split():
        if len(name) + len(word) + 1 > _NAME_CHARACTERS:
            break
        name = f"{name} {word}".strip()
    return name or " ".join(description.split())[:_NAME_CHARACTERS]


def _watch(current: Session, task_id: str) -> None:
    if current.output.as_json:
        card = _poll(current, task_id, None)
    else:
        with Live(console=current.output.console, auto_refresh=False, vertical_overflow="visible") as live:
            card = _poll(current, task_id, live)
    task = current.api.get(f"/api/tasks/{task_id}/")
    shown: dict[str, Any] = {**task, "card": card}
    if card["status"] == "completed" and task["status"] == "completed":
        current.output.success(shown, message=f"Done: {card['url']}" if card["url"] else "Done.")
        return
    failure = card["failure"]
    report(current.output, {**shown, "status": card["status"], "failure": failure})


def _poll(current: Session, task_id: str, live: Live | None) -> dict[str, Any]:
    """Follow the card until it is final; a moment without an answer is only a pause."""
    silent = 0
    while True:
        try:
            card: dict[str, Any] = current.api.get(f"/api/tasks/{task_id}/card/")
            silent = 0
        except ApiError as error:
            silent += 1
            if error.kind != "unavailable" or silent > 20:
                raise
            time.sleep(1.0)
            continue
        if live is not None:
            live.update(draw(card), refresh=True)
        if card["status"] in FINAL:
            return card
        time.sleep(_POLL_SECONDS)
