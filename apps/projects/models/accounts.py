"""People, and the answers they were already given."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person; operators are ``is_staff``."""

    telegram_id = models.BigIntegerField(null=True, blank=True, unique=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(telegram_id__isnull=True) | models.Q(telegram_id__gt=0),
                name="user_telegram_id_positive",
            )
        ]

    def __str__(self) -> str:
        return self.username


class IdempotencyRecord(models.Model):
    """The first answer to a request that carried an ``Idempotency-Key``."""

    principal = models.CharField(max_length=80, help_text="Who asked: user:<id> or worker:<id>.")
    key = models.CharField(max_length=200)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=500)
    request_sha256 = models.CharField(max_length=64)
    response_status = models.PositiveSmallIntegerField(
        null=True, help_text="Empty while the first is running."
    )
    response_body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["principal", "key"], name="idempotency_one_answer_per_key")
        ]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"
