"""What an operator has to know: things the bot could not do and will not do by itself."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.bot.models.chat import Chat
from apps.bot.models.delivery import Delivery


class Trouble(models.Model):
    """One trouble, however often it happened; open until somebody resolves it."""

    key = models.CharField(max_length=200, help_text="The same trouble again has the same key.")
    code = models.CharField(max_length=60)
    message = models.TextField()
    chat = models.ForeignKey(Chat, null=True, blank=True, on_delete=models.CASCADE, related_name="troubles")
    delivery = models.ForeignKey(
        Delivery, null=True, blank=True, on_delete=models.CASCADE, related_name="troubles"
    )
    times = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField()
    notified_at = models.DateTimeField(null=True, blank=True, help_text="When operators were told.")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(resolved_at=None), name="trouble_open_once_per_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"[:120]
