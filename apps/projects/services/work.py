"""Writes tasks: what is asked of a project and how it ended."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.errors import Invalid
from apps.failures import Failure
from apps.projects import validation
from apps.projects.models import Task, TaskStatus, TaskType
from apps.projects.services.projects import lock_project
from apps.projects.signals import announce, task_changed


@transaction.atomic
def create_task(
    *,
    project_id: UUID,
    type: str,
    spec: str,
    requested_by_id: int | None,
    deploy_after: bool = False,
    allow_protected: bool = False,
    follows_id: UUID | None = None,
    retry_of_id: UUID | None = None,
    rollback_to: UUID | None = None,
) -> UUID:
    """Write a task; nothing is started.

    A task that follows another one is created once: asking again returns the first.

    Raises:
        Invalid: ``details`` maps each refused field to its problem.
        NotFound: there is no such project.
        ProjectArchived: it is no longer worked on.

    """
    spec = validation.clean_text(spec)
    validation.refuse(validation.task_problems(kind=type, spec=spec))
    lock_project(project_id)
    _check_relatives(project_id, type=type, follows_id=follows_id, retry_of_id=retry_of_id)
    fields: dict[str, Any] = {
        "project_id": project_id,
        "type": type,
        "spec": spec,
        "requested_by_id": requested_by_id,
        "deploy_after": deploy_after,
        "allow_protected": allow_protected,
        "rollback_to": rollback_to,
    }
    if follows_id is not None and retry_of_id is None:
        task, created = Task.objects.get_or_create(follows_id=follows_id, retry_of=None, defaults=fields)
    else:
        task = Task.objects.create(**fields, follows_id=follows_id, retry_of_id=retry_of_id)
        created = True
    if created:
        announce(task_changed, task_id=task.pk)
    return task.pk


def _check_relatives(
    project_id: UUID, *, type: str, follows_id: UUID | None, retry_of_id: UUID | None
) -> None:
    ours = Task.objects.filter(project_id=project_id)
    validation.refuse(
        {
            "follows": _follows_problem(ours, follows_id, type),
            "retry_of": "is not a task of this project and type"
            if retry_of_id and not ours.filter(pk=retry_of_id, type=type).exists()
            else None,
        }
    )


def _follows_problem(ours: QuerySet[Task], follows_id: UUID | None, type: str) -> str | None:
    """A deployment follows the work whose result it releases; work follows the deployment it mends."""
    if follows_id is None:
        return None
    followed = TaskType.ENGINEERING if type == TaskType.DEPLOY else TaskType.DEPLOY
    if ours.filter(pk=follows_id, type=followed).exists():
        return None
    return f"is not a task of this project of type {followed}"


@transaction.atomic
def mark_task_running(*, task_id: UUID) -> None:
    """Move a pending task to running; of several callers one succeeds.

    Raises:
        IllegalTransition: it is not pending any more.
        NotFound: there is no such task.

    """
    Task.transition(task_id, to=TaskStatus.RUNNING, started_at=timezone.now())
    announce(task_changed, task_id=task_id)


@transaction.atomic
def mark_task_canceling(*, task_id: UUID) -> None:
    """Move a running task to canceling.

    Raises:
        IllegalTransition: it is not running.
        NotFound: there is no such task.

    """
    Task.transition(task_id, to=TaskStatus.CANCELING)
    announce(task_changed, task_id=task_id)


@transaction.atomic
def finish_task(
    *, task_id: UUID, status: str, result: dict[str, Any] | None = None, failure: Failure | None = None
) -> None:
    """Write how a started task ended; the first outcome stands and writing it again is success.

    Raises:
        IllegalTransition: it ended otherwise, or has not started.
        Invalid: the status is not a final one.
        NotFound: there is no such task.

    """
    if status not in Task.final_statuses():
        raise Invalid(details={"status": "must be a final one"})
    if Task.objects.filter(pk=task_id, status=status).exists():
        return
    Task.transition(
        task_id,
        to=status,
        expect=(TaskStatus.RUNNING, TaskStatus.CANCELING),
        result=result,
        failure=failure.as_json() if failure else None,
        finished_at=timezone.now(),
    )
    announce(task_changed, task_id=task_id)


@transaction.atomic
def cancel_pending_task(*, task_id: UUID) -> None:
    """Cancel a task that was not started.

    Raises:
        IllegalTransition: it was started.
        NotFound: there is no such task.

    """
    Task.transition(task_id, to=TaskStatus.CANCELED, expect=TaskStatus.PENDING, finished_at=timezone.now())
    announce(task_changed, task_id=task_id)
