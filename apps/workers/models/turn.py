"""One prompt given to a worker, and its one result."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.workers.models.worker import Worker


class TurnStatus(models.TextChoices):
    """Where a turn is in its life."""

    PENDING = "pending", _("Pending")  # not yet in the worker's input stream
    RUNNING = "running", _("Running")  # sent; the worker owes a result
    SUCCEEDED = "succeeded", _("Succeeded")  # the agent claims success; nothing is proven yet
    FAILED = "failed", _("Failed")  # the agent or its wrapper said no
    CRASHED = "crashed", _("Crashed")  # the worker died without a result
    CANCELED = "canceled", _("Canceled")


class Turn(Lifecycle):
    """The unit of agent work (the seed's TaskExecution)."""

    TRANSITIONS: ClassVar = transitions(
        {
            TurnStatus.PENDING: [
                TurnStatus.RUNNING,
                TurnStatus.SUCCEEDED,
                TurnStatus.FAILED,
                TurnStatus.CRASHED,
                TurnStatus.CANCELED,
            ],
            TurnStatus.RUNNING: [
                TurnStatus.SUCCEEDED,
                TurnStatus.FAILED,
                TurnStatus.CRASHED,
                TurnStatus.CANCELED,
            ],
            TurnStatus.SUCCEEDED: [],
            TurnStatus.FAILED: [],
            TurnStatus.CRASHED: [],
            TurnStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, related_name="turns")
    number = models.PositiveIntegerField(help_text="Position among the worker's turns, from 1.")
    task_id = models.UUIDField(null=True, blank=True)
    project_id = models.UUIDField(null=True, blank=True)
    status = models.CharField(max_length=20, choices=TurnStatus.choices, default=TurnStatus.PENDING)
    prompt = models.TextField()
    timeout_seconds = models.PositiveIntegerField()
    deadline_at = models.DateTimeField(help_text="Timeout of the agent plus the time to report.")
    result = models.JSONField(null=True, blank=True, help_text="The worker's words, as parsed.")
    commit_sha = models.CharField(max_length=64, blank=True, help_text="Claimed head of the branch.")
    branch = models.CharField(max_length=120, blank=True, help_text="Branch the checkout was on at the end.")
    bundle_name = models.CharField(max_length=200, blank=True)
    bundle_sha256 = models.CharField(max_length=64, blank=True)
    summary = models.TextField(blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    usage = models.JSONField(null=True, blank=True)
    failure = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(TurnStatus, name="turn_status_known"),
            models.UniqueConstraint(fields=["worker", "number"], name="turn_number_per_worker"),
            models.UniqueConstraint(
                fields=["worker"],
                condition=models.Q(status__in=["pending", "running"]),
                name="turn_one_unfinished_per_worker",
            ),
        ]

    def __str__(self) -> str:
        return f"turn {self.number} of {self.worker_id}"
