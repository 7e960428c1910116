"""Small readings that several nodes share."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.errors import Invalid
from apps.failures import Failure
from apps.graph.state import RunState, Verdict
from apps.projects import selectors as projects
from apps.projects import timeline
from apps.projects.models import Project, Task


class ManifestUnusable(Invalid):
    """The project's manifest does not say what this step needs."""

    code = "manifest_unusable"


def run_id(state: RunState) -> UUID:
    """Return the run's id."""
    return UUID(state["run_id"])


def task_of(state: RunState) -> Task:
    """Return the task of a run, with its project."""
    return projects.get_task(UUID(state["task_id"]))


def project_of(state: RunState) -> Project:
    """Return the project of a run."""
    return projects.get_project(UUID(state["project_id"]))


def tell(state: RunState, kind: str, key: str, data: Mapping[str, Any] | None = None) -> None:
    """Add a line to the task's timeline, once per key.

    Args:
        state: of the run.
        kind: one of TaskEventKind.
        key: what distinguishes this line from others of its kind; may be empty.
        data: what a card shows of it.

    """
    name = f"{kind}:{key}" if key else kind
    timeline.record(task_id=UUID(state["task_id"]), key=name, kind=kind, data=data)


def round_of(state: RunState) -> str:
    """Name the present round of work: which worker, and how often it was sent back."""
    return f"{state['attempt']}.{state['rework']}"


def change_of(state: RunState) -> str:
    """Name the present round's change: the worker's own, or which rebase of it."""
    rebase = state.get("rebase", 0)
    return f"{round_of(state)}.{rebase}" if rebase else round_of(state)


def effect_key(state: RunState, what: str, part: str | None = None) -> str:
    """Name an effect of the present round, the same at every repetition.

    Args:
        state: of the run.
        what: the kind of effect.
        part: which change of the round, if the effect belongs to one.

    """
    return f"run-{state['run_id']}-{what}-{part or round_of(state)}"


def refused(failure: Failure, verdict: Verdict) -> RunState:
    """Return the update of a node that does not go on; logs stay on the row they belong to."""
    record = failure.as_json()
    record["details"] = {name: value for name, value in failure.details.items() if name != "log_tail"}
    return {"verdict": verdict, "failure": record}


def commands_of(project: Project) -> dict[str, str]:
    """Return the commands of the project's manifest.

    Raises:
        ManifestUnusable: it has none.

    """
    commands = (project.manifest or {}).get("commands")
    if not isinstance(commands, dict):
        raise ManifestUnusable(details={"field": "commands"})
    return {str(name): str(command) for name, command in commands.items()}


def services_of(project: Project) -> list[dict[str, Any]]:
    """Return the services of the project's manifest.

    Raises:
        ManifestUnusable: it lists none.

    """
    services = (project.manifest or {}).get("services")
    if not isinstance(services, list) or not services:
        raise ManifestUnusable(details={"field": "services"})
    return services
