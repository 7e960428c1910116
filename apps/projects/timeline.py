"""The only writer of TaskEvent: what happened to a task, in one order without gaps."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from apps.errors import Invalid
from apps.projects.models import Task, TaskEvent, TaskEventKind
from apps.projects.selectors import TaskNotFound
from apps.projects.signals import announce, task_changed

_KEY_CHARACTERS = 120
_INSERT = """
    INSERT INTO projects_taskevent (task_id, key, kind, data, occurred_at, created_at, seq)
    SELECT %s, %s, %s, (%s)::jsonb, %s, %s, COALESCE(MAX(seq), 0) + 1
    FROM projects_taskevent WHERE task_id = %s
    ON CONFLICT (task_id, key) DO NOTHING
    RETURNING id, seq
"""


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
    event = TaskEvent(
        task_id=task_id,
        key=key,
        kind=kind,
        data=dict(data or {}),
        occurred_at=occurred_at or timezone.now(),
        created_at=timezone.now(),
    )
    # Without a savepoint: nothing here fails after it wrote.
    with transaction.atomic(savepoint=False):
        # Not FOR UPDATE: rows that refer to the task may be written meanwhile.
        is_known = Task.objects.select_for_update(no_key=True).filter(pk=task_id).exists()
        is_new = is_known and _insert(event)
    if not is_known:
        raise TaskNotFound(details={"task": str(task_id)})
    if not is_new:
        return TaskEvent.objects.get(task_id=task_id, key=key)
    announce(task_changed, task_id=task_id)
    return event


def _check(kind: str, key: str) -> None:
    if kind not in TaskEventKind.values or not 0 < len(key) <= _KEY_CHARACTERS:
        raise Invalid("This cannot stand in a timeline", details={"kind": str(kind), "key": key[:200]})


def _insert(event: TaskEvent) -> bool:
    """Write a line with the next number, unless its key is there; the caller has locked the task.

    One statement of its own: it begins after the lock is held, so it sees every line that was written before.
    """
    task_id, data = event.task_id, json.dumps(event.data)
    values = (task_id, event.key, event.kind, data, event.occurred_at, event.created_at, task_id)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        row = cursor.fetchone()
    if row is None:
        return False
    event.pk, event.seq = row
    event._state.adding = False
    return True
