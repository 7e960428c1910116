"""What is seen while a run waits becomes lines of its task's timeline."""

from uuid import UUID

from apps.graph import admission
from apps.graph.models import Run
from apps.infra import rollouts
from apps.infra import selectors as infra
from apps.projects import selectors as projects
from apps.projects import timeline
from apps.projects.models import TaskEvent, TaskEventKind
from apps.workers import selectors as workers

#: A worker decides how much it says; the timeline shows so many of its lines.
MAX_PROGRESS_LINES = 300

_REACHED: dict[str, tuple[str, ...]] = {
    "installing": (TaskEventKind.INSTALLING,),
    "starting": (TaskEventKind.INSTALLING, TaskEventKind.STARTING),
    "live": (TaskEventKind.INSTALLING, TaskEventKind.STARTING),
}


def observe(run: Run) -> None:
    """Record what has happened to the row a run waits for, so far as a person wants to see it."""
    kind, _, name = run.waiting_for.partition(":")
    if kind == "turn":
        copy_progress(run_id=run.pk, turn_id=UUID(name))
    elif kind == "deployment":
        copy_phases(task_id=run.task_id, deployment_id=UUID(name))
    elif kind == "dispatch":
        copy_workflow(task_id=run.task_id, dispatch_id=UUID(name))


def tell_wait(run: Run, code: str) -> None:
    """Record that a run waits for a place on a server; any other waiting tells itself."""
    if admission.is_awaited(code):
        timeline.record(
            task_id=run.task_id,
            key="capacity_awaited",
            kind=TaskEventKind.CAPACITY_AWAITED,
            data={"code": code},
        )


def copy_workflow(*, task_id: UUID, dispatch_id: UUID) -> None:
    """Record that a dispatched workflow has begun, where it can be watched."""
    outcome = projects.get_dispatch_outcome(dispatch_id=dispatch_id)
    if not outcome.run_url:
        return
    rollouts.report_begun(deployment_id=outcome.deployment_id)
    timeline.record(
        task_id=task_id,
        key=f"workflow_started:{dispatch_id}",
        kind=TaskEventKind.WORKFLOW_STARTED,
        data={"url": outcome.run_url},
    )


def copy_progress(*, run_id: UUID, turn_id: UUID) -> int:
    """Copy the agent's new lines; each becomes one event however often this is called.

    Returns:
        How many lines were looked at.

    """
    run = Run.objects.only("task_id", "progress_id").get(pk=run_id)
    lines = workers.list_progress(turn_id=turn_id, after_id=run.progress_id)
    if not lines:
        return 0
    shown = TaskEvent.objects.filter(task_id=run.task_id, kind=TaskEventKind.AGENT_PROGRESS).count()
    # That a turn began is told without words, and the timeline has its own line for that.
    told = [line for line in lines if line.message or line.step]
    for line in told[: max(0, MAX_PROGRESS_LINES - shown)]:
        timeline.record(
            task_id=run.task_id,
            key=f"progress:{line.id}",
            kind=TaskEventKind.AGENT_PROGRESS,
            data={"message": line.message[:500], "step": line.step[:100], "pct": line.pct},
            occurred_at=line.at,
        )
    # Only a mark to start from: a crash before it copies again, and the keys absorb that.
    Run.objects.filter(pk=run_id).update(progress_id=lines[-1].id)
    return len(lines)


def copy_phases(*, task_id: UUID, deployment_id: UUID) -> None:
    """Record the phases a deployment has reached."""
    outcome = infra.get_deployment_outcome(deployment_id=deployment_id)
    for kind in _REACHED.get(outcome.status, ()):
        timeline.record(task_id=task_id, key=f"{kind}:{deployment_id}", kind=kind)
