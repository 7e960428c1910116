"""A workflow of the git host that should run once for one deployment."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.encryption import EncryptedTextField
from apps.lifecycle import Lifecycle, status_check, transitions
from apps.projects.models.project import Project
from apps.projects.models.task import Task


class DispatchStatus(models.TextChoices):
    """Where a dispatched workflow is in its life."""

    PENDING = "pending", _("Pending")  # nothing has been asked of the git host
    DISPATCHING = "dispatching", _("Being started")  # asked for, no run of it was seen yet
    RUNNING = "running", _("Running")  # its run is known and followed
    CANCELING = "canceling", _("Canceling")  # its end was asked for and is not proven
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")  # the run said no, or cannot be had as things are
    CRASHED = "crashed", _("Crashed")  # the platform broke
    CANCELED = "canceled", _("Canceled")  # read back from the git host


class Dispatch(Lifecycle):
    """One run of a workflow, found by its correlation id, which is this row's id.

    A second attempt at any step finds what the first one left; a row that is
    not final fences the deployment it belongs to, since the git host may still
    be at work.
    """

    TRANSITIONS: ClassVar = transitions(
        {
            DispatchStatus.PENDING: [
                DispatchStatus.DISPATCHING,
                DispatchStatus.FAILED,
                DispatchStatus.CRASHED,
                DispatchStatus.CANCELED,
            ],
            DispatchStatus.DISPATCHING: [
                DispatchStatus.RUNNING,
                DispatchStatus.CANCELING,
                DispatchStatus.FAILED,
                DispatchStatus.CRASHED,
            ],
            DispatchStatus.RUNNING: [
                DispatchStatus.SUCCEEDED,
                DispatchStatus.FAILED,
                DispatchStatus.CRASHED,
                DispatchStatus.CANCELING,
            ],
            # The run may have ended by itself before the word reached it: then that is how it ended.
            DispatchStatus.CANCELING: [
                DispatchStatus.CANCELED,
                DispatchStatus.SUCCEEDED,
                DispatchStatus.FAILED,
            ],
            DispatchStatus.SUCCEEDED: [],
            DispatchStatus.FAILED: [],
            DispatchStatus.CRASHED: [],
            DispatchStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="dispatches")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="dispatches")
    deployment_id = models.UUIDField(help_text="The release that this run brings about.")
    status = models.CharField(max_length=20, choices=DispatchStatus.choices, default=DispatchStatus.PENDING)
    workflow = models.CharField(max_length=110, help_text="File name below .github/workflows.")
    environment = models.CharField(max_length=40)
    ref = models.CharField(max_length=100, help_text="The branch whose workflow runs.")
    sha = models.CharField(max_length=64, help_text="The commit that is released.")
    is_rollback = models.BooleanField(default=False)
    inputs = models.JSONField(default=dict)
    secret_keys = models.JSONField(default=list, help_text="The project's secrets that the run needs.")
    access = EncryptedTextField(
        default="{}", help_text="How the run reaches the server, until the git host has it."
    )
    prepared_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the git host has every secret it needs."
    )
    bots = models.JSONField(default=dict, help_text="What Telegram said of the bots' tokens, by variable.")
    accepted_at = models.DateTimeField(
        null=True, blank=True, help_text="When the git host said that it will run."
    )
    run_id = models.BigIntegerField(null=True, blank=True)
    run_url = models.CharField(max_length=500, blank=True)
    log = models.JSONField(null=True, blank=True, help_text="Where it failed: job, step, excerpt.")
    url = models.CharField(max_length=500, blank=True, help_text="What the run reported as its address.")
    images = models.JSONField(default=dict, help_text="Digests of the images the run reported.")
    failure = models.JSONField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often its start was asked for.")
    looks = models.PositiveIntegerField(default=0, help_text="How often its present state was looked at.")
    poll_at = models.DateTimeField(null=True, blank=True, help_text="Not looked at before.")
    appear_by = models.DateTimeField(null=True, blank=True, help_text="Until when a run is waited for.")
    deadline_at = models.DateTimeField(help_text="Its run is canceled after that.")
    created_at = models.DateTimeField(auto_now_add=True)
    running_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(DispatchStatus, name="dispatch_status_known"),
            models.UniqueConstraint(
                fields=["project"],
                name="dispatch_one_unfinished_per_project",
                condition=Q(status__in=["pending", "dispatching", "running", "canceling"]),
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["run_id"], name="dispatch_by_run")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.sha[:12]}"
