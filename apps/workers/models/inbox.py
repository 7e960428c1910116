"""What arrived from workers: events, bundles, and words nobody could read."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.workers.models.worker import Worker


class WorkerEvent(models.Model):
    """One entry of a worker's output stream; the inbox that makes redelivery harmless."""

    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="events")
    boot = models.CharField(max_length=64)
    seq = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=20)
    body = models.JSONField()
    turn_id = models.UUIDField(null=True, blank=True, help_text="The turn it speaks of.")
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["worker", "boot", "seq"], name="worker_event_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["turn_id", "id"], name="worker_event_by_turn"),
            # Few are messages among very many.
            models.Index(fields=["id"], condition=models.Q(kind="message"), name="worker_message_by_id"),
        ]

    def __str__(self) -> str:
        return f"{self.worker_id} {self.kind} {self.seq}"


class Snapshot(models.Model):
    """A bundle of commits that a worker uploaded."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="snapshots")
    turn_id = models.UUIDField(null=True, blank=True)
    reason = models.CharField(max_length=20)
    branch = models.CharField(max_length=120)
    base_sha = models.CharField(max_length=64)
    head_sha = models.CharField(max_length=64)
    name = models.CharField(max_length=200, help_text="Name in the shared storage.")
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["worker", "sha256", "reason"], name="snapshot_once"),
        ]

    def __str__(self) -> str:
        return f"{self.worker_id} {self.head_sha[:12]}"


class DeadLetterStatus(models.TextChoices):
    """What became of an unreadable entry."""

    PENDING = "pending", _("Pending")
    REPLAYED = "replayed", _("Replayed")
    DISCARDED = "discarded", _("Discarded")


class DeadLetter(Lifecycle):
    """An entry that could not be parsed, kept whole before it was acknowledged."""

    TRANSITIONS: ClassVar = transitions(
        {
            DeadLetterStatus.PENDING: [DeadLetterStatus.REPLAYED, DeadLetterStatus.DISCARDED],
            DeadLetterStatus.REPLAYED: [],
            DeadLetterStatus.DISCARDED: [],
        }
    )

    worker_id = models.UUIDField(null=True, blank=True)
    stream = models.CharField(max_length=120)
    entry_id = models.CharField(max_length=40)
    payload = models.TextField(help_text="The entry's fields as JSON, undecodable bytes escaped.")
    reason = models.CharField(max_length=500)
    status = models.CharField(
        max_length=20, choices=DeadLetterStatus.choices, default=DeadLetterStatus.PENDING
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            status_check(DeadLetterStatus, name="dead_letter_status_known"),
            models.UniqueConstraint(fields=["stream", "entry_id"], name="dead_letter_once"),
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.entry_id}"
