"""What the bot owes its chats: every outgoing message is a row before it is anything else."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.bot.models.chat import Chat
from apps.lifecycle import Lifecycle, status_check, transitions


class DeliveryKind(models.TextChoices):
    """What is sent."""

    TEXT = "text", _("Text")
    CARD = "card", _("Card")  # one message that is edited in place
    DELETE = "delete", _("Deletion")
    CALLBACK_ANSWER = "callback_answer", _("Answer to a tap")
    ACTION = "action", _("Typing")


class DeliveryStatus(models.TextChoices):
    """Where a delivery is in its life."""

    PENDING = "pending", _("Pending")
    SENDING = "sending", _("Sending")  # a process is at it, or died at it
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    DROPPED = "dropped", _("Dropped")


UNSETTLED = frozenset({DeliveryStatus.PENDING, DeliveryStatus.SENDING})


class Delivery(Lifecycle):
    """One thing to do in a chat; those of one chat happen in the order of their ids."""

    TRANSITIONS: ClassVar = transitions(
        {
            DeliveryStatus.PENDING: [
                DeliveryStatus.SENDING,
                DeliveryStatus.SENT,  # nothing was left to do
                DeliveryStatus.FAILED,
                DeliveryStatus.DROPPED,
            ],
            # sending → sending: the holder of the chat's lock takes over after its predecessor died.
            DeliveryStatus.SENDING: [
                DeliveryStatus.SENDING,
                DeliveryStatus.PENDING,
                DeliveryStatus.SENT,
                DeliveryStatus.FAILED,
                DeliveryStatus.DROPPED,
            ],
            # A card is shown again when it has changed; others may be repeated by an operator.
            DeliveryStatus.SENT: [DeliveryStatus.PENDING],
            DeliveryStatus.FAILED: [DeliveryStatus.PENDING],
            DeliveryStatus.DROPPED: [DeliveryStatus.PENDING],
        }
    )

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="deliveries")
    kind = models.CharField(max_length=20, choices=DeliveryKind.choices)
    idempotency_key = models.CharField(max_length=200, unique=True, editable=False)
    status = models.CharField(max_length=20, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    payload = models.JSONField(default=dict, help_text="Text in Telegram's HTML, buttons, what to delete.")
    message_id = models.BigIntegerField(null=True, blank=True, help_text="Of the last message it became.")
    parts_sent = models.PositiveSmallIntegerField(default=0, help_text="A long text is several messages.")
    wanted_revision = models.PositiveIntegerField(default=1)
    shown_revision = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    is_uncertain = models.BooleanField(
        default=False, help_text="An attempt may have arrived; the next one is marked as a repetition."
    )
    is_repeated = models.BooleanField(
        default=False, help_text="An earlier message may show the same card: this one is marked for good."
    )
    is_plain = models.BooleanField(default=False, help_text="Telegram refused the markup.")
    not_before = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField()
    failure = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            status_check(DeliveryStatus, name="delivery_status_known"),
            models.CheckConstraint(
                condition=Q(kind__in=sorted(DeliveryKind.values)), name="delivery_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(shown_revision__lte=F("wanted_revision")), name="delivery_shows_what_was_wanted"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["chat", "id"],
                condition=Q(status__in=["pending", "sending"]),
                name="delivery_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.idempotency_key}"


class SendGate(models.Model):
    """One row: when the bot may speak to anybody, whichever process sends."""

    name = models.CharField(max_length=20, primary_key=True, default="telegram")
    next_send_at = models.DateTimeField(help_text="When the allowance of everybody is full again.")
    paused_until = models.DateTimeField(null=True, blank=True, help_text="Telegram asked to wait.")

    def __str__(self) -> str:
        return self.name
