"""What the next message of a chat is, when it is not for the assistant."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.bot.models.chat import Chat
from apps.projects.models import Project


class DialogKind(models.TextChoices):
    """What the next message is taken for."""

    SECRET = "secret", _("A secret")
    ANSWER = "answer", _("An answer")
    REST = "rest", _("The rest of what was too long")  # deleted unread


class Dialog(models.Model):
    """One expectation of a chat; the value that ends it is never stored here."""

    chat = models.OneToOneField(Chat, primary_key=True, on_delete=models.CASCADE, related_name="dialog")
    kind = models.CharField(max_length=20, choices=DialogKind.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="Of a secret."
    )
    key = models.CharField(max_length=100, blank=True, help_text="Name of the secret.")
    question_id = models.UUIDField(null=True, blank=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=sorted(DialogKind.values)), name="dialog_kind_known"),
            models.CheckConstraint(
                condition=~Q(kind="secret") | (Q(project__isnull=False) & ~Q(key="")),
                name="dialog_secret_has_a_name",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key or self.question_id}"

    @property
    def is_secret(self) -> bool:
        """Whether the next message is nobody's to read."""
        return self.kind != DialogKind.ANSWER
