"""How a run becomes final: run, task, timeline and follower in one transaction, or not at all."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.failures import Failure, FailureKind
from apps.graph import checkpoints, holdings, returns, starting
from apps.graph.models import Run, RunStatus
from apps.graph.waits import UNAVAILABLE
from apps.projects import services as projects
from apps.projects import timeline
from apps.projects.models import Task, TaskType


def settle(run: Run) -> UUID | None:
    """Make the outcome that the flow wrote final.

    Returns:
        The run that this one's end has started, if any.

    Raises:
        IllegalTransition: somebody canceled the run meanwhile.

    """
    outcome: dict[str, Any] = run.outcome or {}
    record = outcome.get("failure")
    failure = Failure.from_json(record) if record else None
    return _finish(run, outcome["status"], result=outcome.get("result"), failure=failure)


def fail(run: Run, failure: Failure, *, status: str = RunStatus.FAILED) -> UUID | None:
    """End a run whose flow cannot go on.

    Raises:
        IllegalTransition: somebody canceled the run meanwhile.

    """
    return _finish(run, status, failure=failure)


def cancel(run: Run) -> None:
    """End a run after everything it held is gone."""
    _finish(run, RunStatus.CANCELED, result=(run.outcome or {}).get("result"))


def forget(run: Run) -> None:
    """Delete the flow engine's memory of a final run."""
    checkpoints.delete_thread(str(run.pk))
    Run.objects.filter(pk=run.pk).update(forgotten_at=timezone.now())


def timeout(run: Run) -> Failure:
    """Describe that a run's deadline passed, with what it was waiting for."""
    kind, _, word = run.waiting_for.partition(":")
    if kind == UNAVAILABLE:
        # It never got what it kept asking for: that is the reason, not the clock.
        return crashed(word, "What the run needed did not become available before its deadline.")
    message = f"The run did not end before its deadline; it was waiting for: {kind or 'its turn'}."
    return crashed("workflow_timeout", message)


def crashed(code: str, message: str) -> Failure:
    """Describe a fault that is ours, not the work's."""
    return Failure(stage="workflow", kind=FailureKind.PLATFORM, code=code, message=message, retryable=True)


@transaction.atomic
def _finish(
    run: Run, status: str, *, result: dict[str, Any] | None = None, failure: Failure | None = None
) -> UUID | None:
    # The order of locks is that of the services: the task first.
    task = starting.lock_task(run.task_id)
    now = timezone.now()
    Run.transition(
        run.pk, to=status, failure=failure.as_json() if failure else None, waiting_for="", finished_at=now
    )
    if failure is None or status in (RunStatus.SUCCEEDED, RunStatus.CANCELED):
        holdings.release(run)
    else:
        holdings.cancel(run)
    projects.finish_task(task_id=task.pk, status=status, result=result, failure=failure)
    timeline.record(task_id=task.pk, key="end", kind=status, data=_told(result, failure))
    if status == RunStatus.SUCCEEDED and task.type == TaskType.ENGINEERING and task.deploy_after:
        return _start_follower(task)
    if status == RunStatus.FAILED and task.type == TaskType.DEPLOY and failure is not None:
        return returns.return_to_engineering(task, failure)
    return None


def _told(result: dict[str, Any] | None, failure: Failure | None) -> dict[str, Any]:
    if failure is not None:
        return {"code": failure.code, "stage": failure.stage, "message": failure.message[:500]}
    return {name: value for name, value in (result or {}).items() if name in ("url", "commit_sha")}


def _start_follower(task: Task) -> UUID:
    # Whoever drives this run enqueues the new one; if that is lost, the sweep does.
    follower_id = projects.create_task(
        project_id=task.project_id,
        type=TaskType.DEPLOY,
        spec="",
        requested_by_id=task.requested_by_id,
        follows_id=task.pk,
    )
    run_id, _ = starting.open_run(follower_id)
    return run_id
