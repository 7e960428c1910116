"""Which updates of Telegram were handled, without what stood in them, and which wait to be."""

from typing import ClassVar

from django.db import models

from apps.encryption import EncryptedTextField


class ProcessedUpdate(models.Model):
    """One update; written in the transaction of everything that it caused."""

    update_id = models.BigIntegerField(primary_key=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often handling it failed.")
    failure = models.JSONField(null=True, blank=True, help_text="Type and place of the last error.")
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When it was handled or given up.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return str(self.update_id)


class HeldUpdate(models.Model):
    """An update of which Telegram is asked something first, or that came behind one; gone when handled."""

    update_id = models.BigIntegerField(primary_key=True)
    chat_id = models.BigIntegerField(help_text="Telegram's.")
    body = EncryptedTextField(help_text="The update as it came: it may hold a secret.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["chat_id", "update_id"], name="held_update_in_order")]

    def __str__(self) -> str:
        return str(self.update_id)
