"""Who the bot talks to."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions


class ChatStatus(models.TextChoices):
    """What a chat may do, and whether the bot can write there."""

    STRANGER = "stranger", _("Stranger")
    ASKED = "asked", _("Asked for access")
    ACTIVE = "active", _("Active")
    BLOCKED = "blocked", _("Blocked the bot")  # the person's decision; a message of theirs ends it
    GONE = "gone", _("Gone")  # Telegram knows no such chat any more
    REFUSED = "refused", _("Refused")  # an operator's decision


_REACHABLE = (ChatStatus.STRANGER, ChatStatus.ASKED, ChatStatus.ACTIVE, ChatStatus.REFUSED)


class Chat(Lifecycle):
    """One chat of Telegram; ``user`` is who may act through it."""

    TRANSITIONS: ClassVar = transitions(
        {
            status: [other for other in ChatStatus if other != status]
            for status in (*_REACHABLE, ChatStatus.BLOCKED, ChatStatus.GONE)
        }
    )

    telegram_id = models.BigIntegerField(unique=True, help_text="Of the chat, not of the person.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="chats"
    )
    status = models.CharField(max_length=20, choices=ChatStatus.choices, default=ChatStatus.STRANGER)
    name = models.CharField(max_length=200, blank=True, help_text="As Telegram shows it; any characters.")
    username = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=8, choices=settings.LANGUAGES, default="en")
    is_quiet = models.BooleanField(
        default=False, help_text="Only results, answers and questions make a sound."
    )
    next_send_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the allowance for one message is full again."
    )
    paused_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Telegram asked to wait."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [status_check(ChatStatus, name="chat_status_known")]

    def __str__(self) -> str:
        return self.name or self.username or str(self.telegram_id)

    @property
    def is_reachable(self) -> bool:
        """Whether the bot can write there, as far as it knows."""
        return self.status in _REACHABLE
