"""One agent at a time: ask for it, wait for its readiness, and after a crash for its removal."""

from typing import Any
from uuid import UUID

from apps.graph import judgement, prompts
from apps.graph.models import Run
from apps.graph.nodes import facts
from apps.graph.state import RunState, Wait
from apps.projects import services as projects
from apps.projects.models import TaskEventKind
from apps.workers import selectors, services
from apps.workers.requests import WorkerRequest


def request_worker(state: RunState) -> RunState:
    """Ask for this attempt's worker, on a branch of its own, from the present head of the project."""
    task = facts.task_of(state)
    project, attempt = task.project, state["attempt"]
    branch = f"task/{task.pk.hex[:8]}-{attempt}"
    # The column is set, not incremented: a repeated visit counts once.
    Run.objects.filter(pk=facts.run_id(state)).update(worker_attempts=attempt)
    request = WorkerRequest(
        worker_type="developer",
        owner_id=project.owner_id,
        project_id=project.pk,
        task_id=task.pk,
        run_id=facts.run_id(state),
        workspace_name=project.workspace_name,
        workspace_sha256=project.workspace_sha256,
        base_branch=project.default_branch,
        base_sha=project.head_sha,
        branch=branch,
        instructions=prompts.instructions(
            branch=branch, base_branch=project.default_branch, allow_protected=task.allow_protected
        ),
    )
    key = f"run-{state['run_id']}-worker-{attempt}"
    worker = selectors.get_worker(services.request_worker(idempotency_key=key, request=request))
    facts.tell(
        state, TaskEventKind.WORKER_REQUESTED, str(attempt), {"attempt": attempt, "agent": worker.agent_type}
    )
    # The row's words, not the request's: the project may have moved on since the key was first used.
    return {
        "worker_id": str(worker.pk),
        "base_sha": worker.base_sha,
        "base_branch": worker.base_branch,
        "branch": worker.branch,
    }


def await_worker(state: RunState) -> RunState | Wait:
    """Wait until the worker has reported, or will never do so."""
    outcome = selectors.get_worker_outcome(worker_id=UUID(state["worker_id"]))
    if outcome.is_final:
        failure = judgement.ended("worker", outcome.status, outcome.failure)
        return facts.refused(failure, judgement.verdict_on_worker(outcome.status, failure))
    if not outcome.is_ready:
        return Wait("worker", state["worker_id"])
    worker = selectors.get_worker(UUID(state["worker_id"]))
    data: dict[str, Any] = {"agent": worker.agent_type}
    if worker.image_seconds is not None:
        data["install_seconds"] = round(worker.image_seconds, 3)
    facts.tell(state, TaskEventKind.WORKER_READY, str(state["attempt"]), data)
    return {"failure": None}


def request_removal(state: RunState) -> RunState:
    """Ask for the end of a worker that is of no more use, and of what it left at the git host."""
    services.cancel_worker(worker_id=UUID(state["worker_id"]))
    projects.tidy_changes(task_id=UUID(state["task_id"]))
    return {}


def await_removal(state: RunState) -> RunState | Wait:
    """Wait until the broken worker's container is proven gone: two must never write one task."""
    if not selectors.get_worker_outcome(worker_id=UUID(state["worker_id"])).removed:
        return Wait("removal", state["worker_id"])
    attempt = state["attempt"] + 1
    failure = state.get("failure") or {}
    facts.tell(
        state, TaskEventKind.NEW_ATTEMPT, str(attempt), {"attempt": attempt, "code": failure.get("code", "")}
    )
    return {"attempt": attempt, "rebase": 0}
