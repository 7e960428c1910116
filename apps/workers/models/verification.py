"""Proof: the project's own checks, run on the claimed commit in a fresh place."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions


class VerificationStatus(models.TextChoices):
    """Where a verification is in its life."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Passed")
    FAILED = "failed", _("Failed")  # the work said no
    CRASHED = "crashed", _("Could not run")  # neither a pass nor a failure of the work
    CANCELING = "canceling", _("Canceling")
    CANCELED = "canceled", _("Canceled")


class Verification(Lifecycle):
    """Checks of one commit; manifest, check command and test configuration come from its base."""

    TRANSITIONS: ClassVar = transitions(
        {
            VerificationStatus.PENDING: [
                VerificationStatus.RUNNING,
                VerificationStatus.CRASHED,
                VerificationStatus.CANCELING,
            ],
            VerificationStatus.RUNNING: [
                VerificationStatus.SUCCEEDED,
                VerificationStatus.FAILED,
                VerificationStatus.CRASHED,
                VerificationStatus.CANCELING,
            ],
            VerificationStatus.CANCELING: [VerificationStatus.CANCELED],
            VerificationStatus.SUCCEEDED: [],
            VerificationStatus.FAILED: [],
            VerificationStatus.CRASHED: [],
            VerificationStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    project_id = models.UUIDField()
    task_id = models.UUIDField(null=True, blank=True)
    status = models.CharField(
        max_length=20, choices=VerificationStatus.choices, default=VerificationStatus.PENDING
    )
    bundle_name = models.CharField(max_length=200)
    bundle_sha256 = models.CharField(max_length=64)
    base_sha = models.CharField(max_length=64)
    head_sha = models.CharField(max_length=64)
    commands = models.JSONField(help_text="setup, check and tests of the base's manifest.")
    protected = models.JSONField(default=list, help_text="Paths that are taken from the base.")
    allow_removed_tests = models.BooleanField(default=False)
    evidence = models.JSONField(
        null=True, blank=True, help_text="What was observed: tests, exit codes, times."
    )
    log_tail = models.TextField(blank=True)
    failure = models.JSONField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    deadline_at = models.DateTimeField()
    observed_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [status_check(VerificationStatus, name="verification_status_known")]

    def __str__(self) -> str:
        return f"checks of {self.head_sha[:12]}"

    @property
    def container_name(self) -> str:
        """The name under which the runtime knows it."""
        return f"verification-{self.id}-{self.attempts}"
