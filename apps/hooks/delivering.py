"""Sends a webhook what it is owed: one try at a time, each written down before it is made."""

import time
from collections.abc import Mapping
from typing import Final, Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.hooks.events import (
    DELIVERY_HEADER,
    EVENT_HEADER,
    MAX_ATTEMPTS,
    PAUSES,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    sign,
)
from apps.hooks.models import HookAttempt, HookDelivery, HookDeliveryStatus, Webhook
from apps.hooks.outbound import Answer, Judge, post
from apps.hooks.signals import webhook_switched_off

#: A Celery task takes seconds: what is left is taken by the next one.
ROUND_SECONDS: Final = 30.0
ROUND_DELIVERIES: Final = 50
#: Deliveries given up in a row, after which nobody is there.
MAX_FAILURES: Final = 5
_GONE: Final = 410


class Post(Protocol):
    """The way to a receiver."""

    def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str], judge: Judge) -> Answer:
        """Post once and tell what became of it."""


def deliver_round(*, webhook_id: UUID, send: Post = post) -> bool:
    """Try what a webhook is owed and is due.

    Args:
        webhook_id: whose turn it is.
        send: the way to the receiver.

    Returns:
        Whether more is due.

    """
    until = time.monotonic() + ROUND_SECONDS
    for _ in range(ROUND_DELIVERIES):
        delivery = _next(webhook_id)
        if delivery is None:
            return False
        _try(delivery, send)
        if time.monotonic() >= until:
            break
    return _next(webhook_id) is not None


def _next(webhook_id: UUID) -> HookDelivery | None:
    due = HookDelivery.objects.filter(
        webhook_id=webhook_id,
        webhook__is_active=True,
        status=HookDeliveryStatus.PENDING,
        next_attempt_at__lte=timezone.now(),
    )
    return due.select_related("webhook").order_by("next_attempt_at", "created_at").first()


def _try(delivery: HookDelivery, send: Post) -> None:
    now, number = timezone.now(), delivery.attempts + 1
    # Counted before it is made: a try whose process dies is one of the tries.
    pause = PAUSES[min(number, len(PAUSES)) - 1]
    with transaction.atomic():
        HookDelivery.objects.filter(pk=delivery.pk).update(attempts=number, next_attempt_at=now + pause)
        attempt = HookAttempt.objects.create(delivery=delivery, number=number, began_at=now)
    answer = _send(delivery, send)
    attempt.seconds, attempt.answer, attempt.error = answer.seconds, answer.status, answer.error
    with transaction.atomic():
        attempt.save(update_fields=["seconds", "answer", "error"])
        _settle(delivery, answer, is_last=number >= MAX_ATTEMPTS)


def _send(delivery: HookDelivery, send: Post) -> Answer:
    timestamp = int(time.time())
    headers = {
        EVENT_HEADER: delivery.event,
        DELIVERY_HEADER: delivery.event_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(delivery.webhook.secret, timestamp=timestamp, body=delivery.body),
    }
    return send(
        delivery.webhook.url, body=delivery.body.encode(), headers=headers, judge=settings.WEBHOOKS_JUDGE
    )


def _settle(delivery: HookDelivery, answer: Answer, *, is_last: bool) -> None:
    webhooks = Webhook.objects.filter(pk=delivery.webhook_id)
    if answer.is_accepted:
        HookDelivery.try_transition(delivery.pk, to=HookDeliveryStatus.SENT)
        webhooks.exclude(failures_in_a_row=0).update(failures_in_a_row=0)
    elif answer.status == _GONE:
        HookDelivery.try_transition(delivery.pk, to=HookDeliveryStatus.FAILED)
        _switch_off(delivery.webhook_id, "The receiver answered 410: it is gone.")
    elif is_last:
        HookDelivery.try_transition(delivery.pk, to=HookDeliveryStatus.FAILED)
        webhooks.update(failures_in_a_row=F("failures_in_a_row") + 1)
        if webhooks.filter(failures_in_a_row__gte=MAX_FAILURES).exists():
            words = answer.error or f"HTTP {answer.status}"
            _switch_off(
                delivery.webhook_id, f"{MAX_FAILURES} deliveries in a row were given up; lastly: {words}"
            )


def _switch_off(webhook_id: UUID, notice: str) -> None:
    working = Webhook.objects.filter(pk=webhook_id, is_active=True)
    is_news = working.update(is_active=False, notice=notice[:300], updated_at=timezone.now())
    HookDelivery.drop_pending(webhook_id)
    if is_news:
        webhook_switched_off.send(sender=None, webhook_id=webhook_id)
