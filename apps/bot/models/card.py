"""Which task is shown in which chat."""

from typing import ClassVar

from django.db import models

from apps.bot.models.chat import Chat
from apps.projects.models import Task


class LiveCard(models.Model):
    """The one message about a task in a chat; drawn again while something happens to the task."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="live_cards")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="live_cards")
    digest = models.CharField(max_length=64, blank=True, help_text="Of what was last handed to the outbox.")
    drawn_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="Its end was told.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "chat"], name="live_card_one_per_task_and_chat")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["drawn_at"], condition=models.Q(finished_at=None), name="live_card_unfinished"
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id} in {self.chat_id}"
