"""The beginning of an engineering run: its project has a repository."""

from uuid import UUID

from django.conf import settings

from apps.failures import Failure, FailureKind
from apps.graph.nodes import facts
from apps.graph.state import RunState, Verdict, Wait
from apps.graph.waits import is_project_settled
from apps.projects import services as projects
from apps.projects.models import ProjectStatus, TaskEventKind


def load(state: RunState) -> RunState:
    """Read what was asked and give the run its budgets."""
    project = facts.task_of(state).project
    return {
        "project_id": str(project.pk),
        "fresh": project.status != ProjectStatus.ACTIVE,
        "attempt": 1,
        "rework": 0,
        "max_attempts": settings.GRAPH_MAX_WORKER_ATTEMPTS,
        "max_reworks": settings.GRAPH_MAX_REWORKS,
        "rebase": 0,
        "max_rebases": settings.GRAPH_MAX_REBASES,
        "failure": None,
    }


def request_scaffold(state: RunState) -> RunState:
    """Ask for the repository, unless it exists."""
    projects.request_scaffold(project_id=UUID(state["project_id"]))
    return {}


def await_scaffold(state: RunState) -> RunState | Wait:
    """Wait until the repository has its first commit."""
    project = facts.project_of(state)
    if not is_project_settled(project.pk):
        return Wait("project", state["project_id"])
    if project.status != ProjectStatus.ACTIVE:
        failure = Failure(
            stage="scaffold",
            kind=FailureKind.PLATFORM if project.failure else FailureKind.USER,
            code=f"project_{project.status}",
            message=f"The project is {project.status}.",
        )
        known = Failure.from_json(project.failure) if project.failure else failure
        return facts.refused(known, Verdict.STOP)
    if state["fresh"]:
        facts.tell(state, TaskEventKind.SCAFFOLDED, "", {"sha": project.scaffold_sha})
    return {"failure": None}
