"""What people say to their Product Owner, and how far each of it has got."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.bot.models.chat import Chat
from apps.lifecycle import Lifecycle, status_check, transitions


class Conversation(models.Model):
    """A person's talk with the Product Owner: one turn at a time."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="conversation"
    )
    worker_id = models.UUIDField(null=True, blank=True)
    turn_id = models.UUIDField(null=True, blank=True, help_text="The turn that is not finished yet.")
    chat = models.ForeignKey(
        Chat,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Where it answers.",
    )
    attempts = models.PositiveIntegerField(default=0, help_text="How many workers were asked for.")
    last_event_id = models.BigIntegerField(default=0, help_text="The worker's last word that was passed on.")
    heard_at = models.DateTimeField(null=True, blank=True, help_text="When the person last heard something.")
    observed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"conversation of {self.user_id}"


class ChatMessageStatus(models.TextChoices):
    """Where a message is on its way."""

    PENDING = "pending", _("Pending")  # nobody has read it
    SENT = "sent", _("Sent")  # part of the turn that is running
    ANSWERED = "answered", _("Answered")
    FAILED = "failed", _("Failed")  # the turn ended without an answer; a person may ask again


class ChatMessage(Lifecycle):
    """One thing said to the Product Owner."""

    TRANSITIONS: ClassVar = transitions(
        {
            ChatMessageStatus.PENDING: [ChatMessageStatus.SENT, ChatMessageStatus.FAILED],
            ChatMessageStatus.SENT: [ChatMessageStatus.ANSWERED, ChatMessageStatus.FAILED],
            ChatMessageStatus.ANSWERED: [],
            ChatMessageStatus.FAILED: [ChatMessageStatus.PENDING],
        }
    )

    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="messages")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_messages")
    status = models.CharField(
        max_length=20, choices=ChatMessageStatus.choices, default=ChatMessageStatus.PENDING
    )
    text = models.TextField(blank=True)
    turn_id = models.UUIDField(null=True, blank=True, db_index=True)
    failure = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [status_check(ChatMessageStatus, name="chat_message_status_known")]
        indexes: ClassVar = [
            models.Index(
                fields=["user", "id"],
                condition=Q(status__in=["pending", "sent"]),
                name="chat_message_unfinished",
            )
        ]

    def __str__(self) -> str:
        return self.idempotency_key


class FileStatus(models.TextChoices):
    """Whether a file is with us."""

    PENDING = "pending", _("Pending")
    STORED = "stored", _("Stored")
    REFUSED = "refused", _("Refused")  # too large, or gone at Telegram


class ChatFile(Lifecycle):
    """A file that came with a message, on its way from Telegram to the Product Owner's attachments."""

    TRANSITIONS: ClassVar = transitions(
        {
            FileStatus.PENDING: [FileStatus.STORED, FileStatus.REFUSED],
            FileStatus.STORED: [],
            FileStatus.REFUSED: [],
        }
    )

    message = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="files")
    kind = models.CharField(max_length=20)
    file_id = models.CharField(max_length=300, help_text="Under which Telegram hands it out.")
    file_name = models.CharField(max_length=200, blank=True)
    mime_type = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, choices=FileStatus.choices, default=FileStatus.PENDING)
    size_bytes = models.PositiveIntegerField(null=True, blank=True)
    attachment_id = models.UUIDField(null=True, blank=True, help_text="Under which the workers get it.")
    reason = models.CharField(max_length=60, blank=True, help_text="Why it was refused.")
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [status_check(FileStatus, name="chat_file_status_known")]

    def __str__(self) -> str:
        return self.file_name or self.kind
