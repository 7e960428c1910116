"""From the timelines of tasks to what webhooks are owed."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from apps.hooks.events import EVENT_OF, body_of, event_id
from apps.hooks.models import HookCursor, HookDelivery, HookDeliveryStatus, Webhook
from apps.projects.models import TaskEvent, TaskEventKind
from apps.roles import STAFF

BATCH: Final = 1_000
#: Numbers are given before the commit, so a line may appear below others: younger ones are looked at again.
SETTLED_AFTER: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=14)


@transaction.atomic
def collect() -> int:
    """Write what webhooks are owed for lines that were not looked at before; a repetition writes nothing.

    Returns:
        How many lines were looked at.

    """
    latest = TaskEvent.objects.aggregate(latest=Max("pk"))["latest"] or 0
    cursor, _ = HookCursor.objects.select_for_update().get_or_create(pk=1, defaults={"position": latest})
    lines = list(
        TaskEvent.objects.filter(pk__gt=cursor.position)
        .select_related("task__project")
        .order_by("pk")[:BATCH]
    )
    owed = list(_owed(lines))
    HookDelivery.objects.bulk_create(owed, ignore_conflicts=True)
    settled = timezone.now() - SETTLED_AFTER
    old = [line.pk for line in lines if line.created_at < settled]
    # A full batch of young lines must not stop the rest.
    position = max(old, default=cursor.position) if len(lines) < BATCH else lines[-1].pk
    if position != cursor.position:
        HookCursor.objects.filter(pk=1).update(position=position)
    return len(lines)


def _owed(lines: Iterable[TaskEvent]) -> Iterable[HookDelivery]:
    webhooks = list(Webhook.objects.filter(is_active=True, owner__is_active=True).select_related("owner"))
    if not webhooks:
        return
    for line in lines:
        event = EVENT_OF.get(TaskEventKind(line.kind))
        if event is None:
            continue
        for webhook in webhooks:
            if event in webhook.events and webhook.created_at <= line.created_at and _may_know(webhook, line):
                yield HookDelivery(
                    webhook=webhook,
                    event_id=event_id(line),
                    event=event,
                    body=body_of(line),
                    next_attempt_at=timezone.now(),
                )


def _may_know(webhook: Webhook, line: TaskEvent) -> bool:
    is_own = line.task.project.owner_id == webhook.owner_id
    return is_own or (webhook.all_projects and webhook.owner.role in STAFF)


def forget_old() -> None:
    """Delete deliveries that ended long ago."""
    ended = HookDelivery.objects.exclude(status=HookDeliveryStatus.PENDING)
    old = ended.filter(created_at__lt=timezone.now() - KEPT).values_list("pk", flat=True)[:BATCH]
    HookDelivery.objects.filter(pk__in=list(old)).delete()
