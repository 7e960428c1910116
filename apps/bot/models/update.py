"""Which updates of Telegram were handled; never what stood in them."""

from django.db import models


class ProcessedUpdate(models.Model):
    """One update; written in the transaction of everything that it caused."""

    update_id = models.BigIntegerField(primary_key=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often handling it failed.")
    failure = models.JSONField(null=True, blank=True, help_text="Type and place of the last error.")
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When it was handled or given up.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return str(self.update_id)
