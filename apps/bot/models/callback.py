"""What the buttons of messages do when they are tapped."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.bot.models.chat import Chat


class Action(models.TextChoices):
    """The closed list of what a tap may do."""

    ASK_ACCESS = "ask_access", _("Ask for access")
    APPROVE = "approve", _("Let a person in")
    DENY = "deny", _("Refuse a person")
    ANSWER = "answer", _("Answer a question")
    ANSWER_FREELY = "answer_freely", _("Write an answer")
    SECRET = "secret", _("Give a secret")
    POOL = "pool", _("Take a bot from the pool")
    CANCEL_DIALOG = "cancel_dialog", _("Give no answer now")
    STOP = "stop", _("Stop a task")
    RETRY = "retry", _("Try a task again")
    ROLLBACK = "rollback", _("Roll back")
    STOP_ASSISTANT = "stop_assistant", _("Stop the assistant")
    REPEAT = "repeat", _("Hand messages over again")
    KILL = "kill", _("Stop a worker")
    PROVISION = "provision", _("Set up a server")
    LANGUAGE = "language", _("Choose a language")
    SOUND = "sound", _("Choose what makes a sound")
    PROJECT = "project", _("Show a project")
    SECRETS = "secrets", _("Show the secrets of a project")


class Callback(models.Model):
    """One button: for one person in one chat, good once and for a while."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=200, unique=True, editable=False)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="callbacks")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Who may tap it; empty: a person without an account, in this chat.",
    )
    action = models.CharField(max_length=20, choices=Action.choices)
    subject = models.CharField(max_length=100, blank=True, help_text="Id of what it is about.")
    argument = models.CharField(max_length=100, blank=True)
    is_reusable = models.BooleanField(default=False, help_text="It only shows something.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(action__in=sorted(Action.values)), name="callback_action_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
