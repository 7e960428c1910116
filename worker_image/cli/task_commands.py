"""``engineering``, ``deploy`` and ``task``: begin work, look at it, wait for it, steer it."""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import typer

from worker_image.cli.api import Api, ApiError
from worker_image.cli.context import Session, session
from worker_image.cli.naming import project_id
from worker_image.cli.output import table
from worker_image.cli.typing_in import read_unseen
from worker_image.cli.waiting import report, wait_for

engineering = typer.Typer(help="Changes to a project's code.", no_args_is_help=True)
deploy = typer.Typer(help="Releases of a project.", no_args_is_help=True)
task = typer.Typer(help="Any task.", no_args_is_help=True)

TaskArgument = Annotated[str, typer.Argument(metavar="TASK")]
ProjectOption = Annotated[str, typer.Option(help="Id or slug of the project.")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds to wait.")]
LimitOption = Annotated[int, typer.Option(min=1, max=200, help="How many at most.")]

_TASK_COLUMNS = ("id", "project_id", "type", "status", "spec", "created_at")
_RELEASE_COLUMNS = ("id", "project_id", "service_name", "kind", "status", "url", "live_at", "starts")

#: The wire's words for a task that may have to wait for a worker.
_UNFINISHED = frozenset({"queued", "running"})


def begin(
    api: Api,
    *,
    project_id: str,
    type: str,
    spec: str = "",
    deploy_after: bool = False,
    allow_protected: bool = False,
    attachments: Sequence[str] = (),
) -> dict[str, Any]:
    """Create a task, give it its files, and start it; returns the task."""
    body = {"project_id": project_id, "type": type, "spec": spec, "deploy_after": deploy_after}
    if allow_protected:
        body["allow_protected"] = True
    created: dict[str, Any] = api.post("/api/tasks/", body, create=True)
    for attachment in attachments:
        api.post(f"/api/tasks/{created['id']}/attachments/", {"attachment_id": attachment})
    api.post(f"/api/tasks/{created['id']}/start/")
    started: dict[str, Any] = api.get(f"/api/tasks/{created['id']}/")
    return started


def _show_started(current: Session, started: dict[str, Any]) -> None:
    current.output.success(
        started, message=f"Started {started['id']}. Watch it: orchestrator watch {started['id']}"
    )


@engineering.command("start")
def start_engineering(
    context: typer.Context,
    project: ProjectOption,
    spec: Annotated[str, typer.Option(help="What to change, in plain words.")],
    deploy_after: Annotated[bool, typer.Option("--deploy", help="Deploy the result.")] = False,
    allow_protected: Annotated[
        bool, typer.Option("--allow-protected", help="Let the agent change protected files (people only).")
    ] = False,
    attach: Annotated[
        list[str] | None, typer.Option(help="Id of a file that goes with the task; repeat it.")
    ] = None,
) -> None:
    """Begin a change."""
    with session(context, "engineering.start") as current:
        started = begin(
            current.api,
            project_id=project_id(current.api, project),
            type="engineering",
            spec=spec,
            deploy_after=deploy_after,
            allow_protected=allow_protected,
            attachments=attach or (),
        )
        _show_started(current, started)


@deploy.command("start")
def start_deploy(context: typer.Context, project: ProjectOption) -> None:
    """Begin a release of what is in the default branch."""
    with session(context, "deploy.start") as current:
        found = project_id(current.api, project)
        _show_started(current, begin(current.api, project_id=found, type="deploy"))


@deploy.command("list")
def list_deployments(
    context: typer.Context,
    project: Annotated[str, typer.Option(help="Only of this project: its id or slug.")] = "",
    status: Annotated[str, typer.Option(help="Only these; by default what is live.")] = "live",
    limit: LimitOption = 50,
) -> None:
    """List releases, the newest first: where they answer, since when, how often they were started."""
    with session(context, "deploy.status") as current:
        only = project_id(current.api, project) if project else None
        found = current.api.list("/api/service_deployments/", project_id=only, status=status)
        listed = [{name: row.get(name) for name in _RELEASE_COLUMNS} for row in islice(found, limit)]
        current.output.success(listed, show=table(_RELEASE_COLUMNS, listed))


@deploy.command("rollback")
def rollback(context: typer.Context, project: ProjectOption) -> None:
    """Go back to the release before the one that is live."""
    with session(context, "deploy.start") as current:
        found = project_id(current.api, project)
        listed = current.api.get("/api/service_deployments/", project_id=found, status="live")
        live = listed["results"]
        if not live:
            raise ApiError("not_found", "The project has no live release to go back from.")
        newest = max(live, key=lambda release: release["live_at"] or "")
        answer = current.api.post(f"/api/service_deployments/{newest['id']}/rollback/", create=True)
        _show_started(current, answer)


@engineering.command("status")
def engineering_status(context: typer.Context, task_id: TaskArgument) -> None:
    """Show a change: where it stands in the line while no worker is free, and how alive its agent is."""
    with session(context, "engineering.status") as current:
        shown: dict[str, Any] = current.api.get(f"/api/tasks/{task_id}/")
        if shown.get("status") in _UNFINISHED:
            card = current.api.get(f"/api/tasks/{task_id}/card/")
            shown = {**shown, "queue": card.get("queue"), "liveness": card.get("liveness")}
        current.output.success(shown)


@deploy.command("status")
def deploy_status(context: typer.Context, task_id: TaskArgument) -> None:
    """Show a release."""
    with session(context, "deploy.status") as current:
        current.output.success(current.api.get(f"/api/tasks/{task_id}/"))


@engineering.command("wait")
def wait_engineering(context: typer.Context, task_id: TaskArgument, timeout: TimeoutOption = 3600.0) -> None:
    """Wait until a change has ended; exit 0 only if it was completed."""
    with session(context, "engineering.wait") as current:
        report(current.output, wait_for(current.api, task_id, timeout_seconds=timeout))


@deploy.command("wait")
def wait_deploy(context: typer.Context, task_id: TaskArgument, timeout: TimeoutOption = 3600.0) -> None:
    """Wait until a release has ended; exit 0 only if it is live."""
    with session(context, "deploy.wait") as current:
        ended = wait_for(current.api, task_id, timeout_seconds=timeout)
        report(current.output, ended, url=(ended.get("result") or {}).get("url", ""))


@task.command("list")
def list_tasks(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="queued, running, completed, failed or cancelled.")] = "",
    limit: LimitOption = 50,
) -> None:
    """List your tasks, the newest first."""
    with session(context, "project.tasks") as current:
        listed = list(islice(current.api.list("/api/tasks/", status=status or None), limit))
        current.output.success(listed, show=table(_TASK_COLUMNS, listed))


@task.command()
def cancel(context: typer.Context, task_id: TaskArgument) -> None:
    """Stop a task; what was merged stays merged."""
    with session(context, "task.cancel") as current:
        answer = current.api.post(f"/api/tasks/{task_id}/cancel/")
        current.output.success(answer, message="Asked to stop.")


@task.command()
def retry(context: typer.Context, task_id: TaskArgument) -> None:
    """Begin the same work again as a new task."""
    with session(context, "task.retry") as current:
        _show_started(current, current.api.post(f"/api/tasks/{task_id}/retry/", create=True))


@task.command()
def answer(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION")],
    text: Annotated[
        str,
        typer.Argument(metavar="[TEXT]", help="Without it: typed in unseen, or read from standard input."),
    ] = "",
) -> None:
    """Answer a question; the task that waits for it goes on. Leave TEXT out when it is a secret."""
    with session(context, "task.answer") as current:
        text = text or read_unseen("Answer")
        said = current.api.post(f"/api/questions/{question}/answer/", {"text": text})
        current.output.success(said, message="Answered.")
