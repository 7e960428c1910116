"""The only writer of TaskEvent: what happened to a task, in one order without gaps."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from apps.errors import Invalid
from apps.projects.models import Task, TaskEvent, TaskEventKind
from apps.projects.selectors import TaskNotFound
from apps.projects.signals import announce, task_changed

_KEY_CHARACTERS = 120


@transaction.atomic
def record(
    *,
    task_id: UUID,
    key: str,
    kind: str,
    data: Mapping[str, Any] | None = None,
    occurred_at: datetime | None = None,
) -> TaskEvent:
    """Add one line to a task's timeline; the same key again returns the line that is there.

    The task's row is locked until the caller's transaction ends, so numbers are
    given in the order of the commits and none is lost by a rollback.

    Args:
        task_id: whose timeline.
        key: derived name of the fact within the task.
        kind: one of TaskEventKind.
        data: JSON values that a card shows.
        occurred_at: when it happened, if that is not now.

    Raises:
        Invalid: the key or the kind cannot be stored.
        TaskNotFound: there is no such task.

    """
    _check(kind, key)
    # Not FOR UPDATE: rows that refer to the task may be written meanwhile.
    if not Task.objects.select_for_update(no_key=True).filter(pk=task_id).exists():
        raise TaskNotFound(details={"task": str(task_id)})
    known = TaskEvent.objects.filter(task_id=task_id, key=key).first()
    if known is not None:
        return known
    event = TaskEvent.objects.create(
        task_id=task_id,
        seq=_next_number(task_id),
        key=key,
        kind=kind,
        data=dict(data or {}),
        occurred_at=occurred_at or timezone.now(),
    )
    announce(task_changed, task_id=task_id)
    return event


def _check(kind: str, key: str) -> None:
    if kind not in TaskEventKind.values or not 0 < len(key) <= _KEY_CHARACTERS:
        raise Invalid("This cannot stand in a timeline", details={"kind": str(kind), "key": key[:200]})


def _next_number(task_id: UUID) -> int:
    """Return the number of the next line; the caller has locked the task."""
    last = TaskEvent.objects.filter(task_id=task_id).aggregate(last=Max("seq"))["last"]
    return (last or 0) + 1
