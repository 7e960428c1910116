"""The first row of a run; shared by whoever asks for it and by the end of the run before it."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.errors import NotFound
from apps.graph.deploy import DEPLOY_WORKFLOW
from apps.graph.flow import Flow
from apps.graph.flows import flow_of
from apps.graph.models import UNFINISHED, Run
from apps.projects import services as projects
from apps.projects import timeline
from apps.projects.models import Task, TaskEventKind


def lock_task(task_id: UUID) -> Task:
    """Return a task, locked until the transaction ends: whoever moves a run locks its task first.

    Raises:
        NotFound: there is none of that id.

    """
    task = Task.objects.select_for_update(no_key=True).filter(pk=task_id).first()
    if task is None:
        raise NotFound(f"There is no task {task_id}.")
    return task


@transaction.atomic
def open_run(task_id: UUID) -> tuple[UUID, bool]:
    """Give a pending task its run, or return the unfinished one it has.

    Returns:
        The run's id and whether it is new.

    Raises:
        IllegalTransition: the task has ended.
        NotFound: there is no such task.

    """
    task = lock_task(task_id)
    known = find_unfinished(task_id)
    if known is not None:
        return known, False
    try:
        with transaction.atomic():
            run = _create(task)
    except IntegrityError:
        # The constraint saw somebody who did not ask for the lock.
        winner = find_unfinished(task_id)
        if winner is None:
            raise
        return winner, False
    return run.pk, True


def find_unfinished(task_id: UUID) -> UUID | None:
    """Return the id of a task's unfinished run, or None."""
    return Run.objects.filter(task_id=task_id, status__in=UNFINISHED).values_list("pk", flat=True).first()


def _create(task: Task) -> Run:
    projects.mark_task_running(task_id=task.pk)
    flow = flow_of(task)
    run = Run.objects.create(
        task=task,
        flow=flow.name,
        flow_version=flow.version,
        deadline_at=timezone.now() + timedelta(seconds=_seconds_for(flow)),
    )
    timeline.record(
        task_id=task.pk, key="acknowledged", kind=TaskEventKind.ACKNOWLEDGED, data={"type": task.type}
    )
    return run


def _seconds_for(flow: Flow) -> int:
    """Return how long a run may take; one that follows a workflow outlives it, to tell its end."""
    seconds: int = settings.GRAPH_WORKFLOW_DEADLINE_SECONDS
    if flow is DEPLOY_WORKFLOW:
        seconds += 2 * settings.PROJECTS_WORKFLOW_DEADLINE_SECONDS
    return seconds
