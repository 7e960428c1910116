"""Celery tasks of this app: thin, by id, repeatable."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.enqueue import advisory_lock, enqueue
from apps.hooks import collecting, delivering
from apps.hooks.models import HookDelivery, HookDeliveryStatus
from apps.periodic.recording import Run, recorded

_SWEPT_WEBHOOKS = 200


@shared_task(name="hooks.deliver")
def deliver(*, webhook_id: str) -> None:
    """Send a webhook what it is owed; one process at a time does."""
    with advisory_lock("webhook", webhook_id) as obtained:
        is_more_due = obtained and delivering.deliver_round(webhook_id=UUID(webhook_id))
    if is_more_due:
        enqueue(deliver, webhook_id=webhook_id)


@shared_task(name="hooks.collect")
@recorded("sweep_hooks")
def collect(run: Run) -> None:
    """Write down what webhooks are owed, and have them told."""
    with run.item("news"):
        while (collected := collecting.collect()) == collecting.BATCH:
            run.count("news", collected)
        run.count("news", collected)
        collecting.forget_old()
    due = HookDelivery.objects.filter(
        status=HookDeliveryStatus.PENDING, webhook__is_active=True, next_attempt_at__lte=timezone.now()
    )
    webhooks = due.values_list("webhook_id", flat=True).distinct()[:_SWEPT_WEBHOOKS]
    run.each(webhooks, lambda pk: enqueue(deliver, webhook_id=str(pk)), name="webhooks")


@shared_task(name="periodic.sweep_hooks")
def sweep_hooks() -> None:
    """Hand over to the queue that may speak to strangers."""
    enqueue(collect)
