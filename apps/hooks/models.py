"""Who is told, what they are owed, and every try."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.encryption import EncryptedTextField
from apps.hooks.events import HookEvent
from apps.lifecycle import Lifecycle, status_check, transitions


class Webhook(models.Model):
    """An address that is told what happens to a person's projects."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    secret = EncryptedTextField(editable=False)
    events = ArrayField(models.CharField(max_length=30, choices=HookEvent.choices))
    all_projects = models.BooleanField(
        default=False, help_text=_("Of everybody; only as long as its owner runs the installation.")
    )
    is_active = models.BooleanField(default=True)
    failures_in_a_row = models.PositiveSmallIntegerField(default=0, help_text="Deliveries given up.")
    notice = models.CharField(max_length=300, blank=True, help_text="Why it was switched off.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(events__len__gt=0), name="webhook_has_events"),
        ]

    def __str__(self) -> str:
        return self.url


class HookDeliveryStatus(models.TextChoices):
    """Where a delivery is in its life."""

    PENDING = "pending", _("Pending")
    SENT = "sent", _("Sent")  # the receiver said 2xx
    FAILED = "failed", _("Failed")  # given up
    DROPPED = "dropped", _("Dropped")  # its webhook was switched off


class HookDelivery(Lifecycle):
    """One event that a webhook is owed, at least once; a repetition has the same id."""

    TRANSITIONS: ClassVar = transitions(
        {
            HookDeliveryStatus.PENDING: [
                HookDeliveryStatus.SENT,
                HookDeliveryStatus.FAILED,
                HookDeliveryStatus.DROPPED,
            ],
            HookDeliveryStatus.SENT: [],
            HookDeliveryStatus.FAILED: [],
            HookDeliveryStatus.DROPPED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.CharField(max_length=60)
    event = models.CharField(max_length=30, choices=HookEvent.choices)
    body = models.TextField(help_text="Exactly what is signed and sent.")
    status = models.CharField(
        max_length=20, choices=HookDeliveryStatus.choices, default=HookDeliveryStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Begun, the unfinished one included.")
    next_attempt_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            status_check(HookDeliveryStatus, name="hook_delivery_status_known"),
            models.UniqueConstraint(fields=["webhook", "event_id"], name="hook_delivery_once"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(status=HookDeliveryStatus.PENDING),
                name="hook_delivery_due",
            ),
            models.Index(fields=["created_at"], name="hook_delivery_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"

    @classmethod
    def drop_pending(cls, webhook_id: uuid.UUID) -> None:
        """Give up what a webhook that was switched off is owed."""
        pending = cls.objects.filter(webhook_id=webhook_id, status=HookDeliveryStatus.PENDING)
        owed: dict[Any, dict[str, Any]] = {key: {} for key in pending.values_list("pk", flat=True)}
        if owed:
            cls.try_transition_many(owed, to=HookDeliveryStatus.DROPPED)


class HookAttempt(models.Model):
    """One try of a delivery, written before it is made."""

    delivery = models.ForeignKey(HookDelivery, on_delete=models.CASCADE, related_name="tries")
    number = models.PositiveSmallIntegerField()
    began_at = models.DateTimeField()
    seconds = models.FloatField(null=True, help_text="Empty: its process died, or it goes on.")
    answer = models.PositiveSmallIntegerField(null=True, help_text="HTTP status; empty: no answer.")
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["delivery", "number"], name="hook_attempt_number"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.number}"


class HookCursor(models.Model):
    """Up to which line of all timelines everybody was told; one row."""

    position = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(pk=1), name="hook_cursor_is_one"),
        ]

    def __str__(self) -> str:
        return str(self.position)
