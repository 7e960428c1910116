"""Files that people hand to their workers."""

import uuid
from typing import ClassVar

from django.db import models


class Attachment(models.Model):
    """A file of a person: for the Product Owner as long as it has no task, else for the workers of that task.

    The same file handed to a task is a second row with the same content.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner_id = models.BigIntegerField(help_text="The person who gave it.")
    task_id = models.UUIDField(null=True, blank=True, db_index=True)
    file_name = models.CharField(max_length=120, help_text="Of a plain file, without any path.")
    mime_type = models.CharField(max_length=100, blank=True, help_text="As the sender says.")
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=200, help_text="Name in the shared storage.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner_id", "task_id", "sha256", "file_name"],
                nulls_distinct=False,
                name="attachment_once",
            )
        ]

    def __str__(self) -> str:
        return self.file_name
