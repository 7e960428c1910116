"""What a webhook may be told, and the signature it is told with. Pure."""

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any, Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.projects.models import TaskEvent, TaskEventKind

SIGNATURE_HEADER: Final = "X-Orchestrator-Signature"
TIMESTAMP_HEADER: Final = "X-Orchestrator-Timestamp"
EVENT_HEADER: Final = "X-Orchestrator-Event"
DELIVERY_HEADER: Final = "X-Orchestrator-Delivery"

#: After the first try, the second, and so on; together half a day.
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 300, 900, 3_600, 10_800, 21_600))
MAX_ATTEMPTS: Final = len(PAUSES) + 1


class HookEvent(models.TextChoices):
    """The closed list of what is told."""

    STARTED = "task.started", _("Task started")
    MERGED = "task.merged", _("Change merged")
    DEPLOYED = "task.deployed", _("Deployed")
    QUESTION_ASKED = "task.question_asked", _("Question asked")
    COMPLETED = "task.completed", _("Task completed")
    FAILED = "task.failed", _("Task failed")
    CANCELLED = "task.cancelled", _("Task cancelled")
    PING = "ping", _("Ping")


EVENT_OF: Final = {
    TaskEventKind.ACKNOWLEDGED: HookEvent.STARTED,
    TaskEventKind.MERGED: HookEvent.MERGED,
    TaskEventKind.DEPLOYED: HookEvent.DEPLOYED,
    TaskEventKind.QUESTION_ASKED: HookEvent.QUESTION_ASKED,
    TaskEventKind.SUCCEEDED: HookEvent.COMPLETED,
    TaskEventKind.FAILED: HookEvent.FAILED,
    TaskEventKind.CRASHED: HookEvent.FAILED,
    TaskEventKind.CANCELED: HookEvent.CANCELLED,
}
#: What a webhook can be made for; a ping is asked for by itself.
SUBSCRIBABLE: Final = tuple(event for event in HookEvent if event != HookEvent.PING)


def event_id(event: TaskEvent) -> str:
    """Return the name by which a receiver tells a repetition from news."""
    return f"evt-{event.pk}"


def body_of(event: TaskEvent) -> str:
    """Return the words that are sent about a line of a task's timeline, which must have its task at hand."""
    task = event.task
    return _json(
        {
            "id": event_id(event),
            "event": EVENT_OF[TaskEventKind(event.kind)].value,
            "occurred_at": event.occurred_at.isoformat(),
            "data": {
                "task_id": str(task.pk),
                "task_type": task.type,
                "project_id": str(task.project_id),
                "seq": event.seq,
                "details": event.data,
            },
        }
    )


def ping_of(ping_id: str, *, webhook_id: Any) -> str:
    """Return the words of a trial."""
    return _json({"id": ping_id, "event": HookEvent.PING.value, "data": {"webhook_id": str(webhook_id)}})


def sign(secret: str, *, timestamp: int, body: str) -> str:
    """Return the signature: ``v1=`` and the HMAC-SHA256 of ``<timestamp>.<body>`` in hexadecimal."""
    words = f"{timestamp}.{body}".encode()
    return "v1=" + hmac.new(secret.encode(), words, hashlib.sha256).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
