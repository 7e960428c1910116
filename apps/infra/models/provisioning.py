"""Runs of a playbook on a server."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.infra.models.server import Server
from apps.lifecycle import Lifecycle, status_check, transitions


class ProvisioningKind(models.TextChoices):
    """Which playbook is run."""

    SETUP = "setup", _("Set-up")
    RECOVERY = "recovery", _("Recovery")


class ProvisioningStatus(models.TextChoices):
    """Where an attempt is in its life."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    CANCELING = "canceling", _("Canceling")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")  # the server or a task said no
    CRASHED = "crashed", _("Crashed")  # the platform broke, its process died or ran out of time
    CANCELED = "canceled", _("Canceled")
    SUPERSEDED = "superseded", _("Superseded")  # a newer request took its place; its result counts no more


_P = ProvisioningStatus
UNFINISHED_PROVISIONING = (_P.PENDING, _P.RUNNING, _P.CANCELING)


class Provisioning(Lifecycle):
    """One attempt to bring a server to where it should be.

    An episode is what somebody asked for; its attempts are rows of their own, so
    whatever an earlier one reports late meets a row that is final.
    """

    TRANSITIONS: ClassVar = transitions(
        {
            _P.PENDING: [_P.RUNNING, _P.FAILED, _P.CRASHED, _P.CANCELED, _P.SUPERSEDED],
            _P.RUNNING: [_P.SUCCEEDED, _P.FAILED, _P.CRASHED, _P.CANCELING, _P.SUPERSEDED],
            # What is done is done: a playbook that ended before the word reached it has succeeded.
            _P.CANCELING: [_P.CANCELED, _P.SUCCEEDED, _P.FAILED, _P.CRASHED, _P.SUPERSEDED],
            _P.SUCCEEDED: [],
            _P.FAILED: [],
            _P.CRASHED: [],
            _P.CANCELED: [],
            _P.SUPERSEDED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="provisionings")
    kind = models.CharField(max_length=20, choices=ProvisioningKind.choices, default=ProvisioningKind.SETUP)
    episode = models.UUIDField(default=uuid.uuid4)
    attempt = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(
        max_length=20, choices=ProvisioningStatus.choices, default=ProvisioningStatus.PENDING
    )
    requested_by_id = models.BigIntegerField(null=True, blank=True, help_text="Empty: by the system.")
    # The destructive part: asked for by a person, once, and begun at most once in an episode.
    force_reinstall = models.BooleanField(default=False)
    authorized_by_id = models.BigIntegerField(
        null=True, blank=True, help_text="Who said that the server's disk may be erased."
    )
    authorized_at = models.DateTimeField(null=True, blank=True)
    authorization_expires_at = models.DateTimeField(
        null=True, blank=True, help_text="What has not begun by then does not begin any more."
    )
    confirmed = models.JSONField(
        default=dict, blank=True, help_text="The machine and the projects that this person was shown."
    )
    reinstall_begun_at = models.DateTimeField(
        null=True, blank=True, help_text="Written before the provider is asked."
    )
    reinstall_accepted_at = models.DateTimeField(null=True, blank=True)
    reinstall_task = models.CharField(max_length=60, blank=True, help_text="The provider's number of it.")
    reinstalled_at = models.DateTimeField(null=True, blank=True)
    status_before = models.CharField(
        max_length=20, blank=True, help_text="Of the server; it goes back there if nothing was lost."
    )
    # What is seen of it.
    due_at = models.DateTimeField(default=timezone.now, help_text="It does not begin earlier.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    current_task = models.CharField(max_length=200, blank=True)
    recap = models.JSONField(null=True, blank=True, help_text="Counts, and each task with its outcome.")
    failure = models.JSONField(null=True, blank=True)
    log_tail = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    notified_at = models.DateTimeField(
        null=True, blank=True, help_text="When operators were told that it ended well."
    )

    class Meta:
        constraints: ClassVar = [
            status_check(ProvisioningStatus, name="provisioning_status_known"),
            models.UniqueConstraint(
                fields=["server"],
                condition=Q(status__in=["pending", "running", "canceling"]),
                name="provisioning_one_unfinished",
            ),
            models.UniqueConstraint(fields=["episode", "attempt"], name="provisioning_attempt_once"),
            models.CheckConstraint(
                condition=Q(force_reinstall=False)
                | Q(
                    authorized_by_id__isnull=False,
                    authorized_at__isnull=False,
                    authorization_expires_at__isnull=False,
                ),
                name="provisioning_reinstall_authorized",
            ),
        ]

    @property
    def is_erasing(self) -> bool:
        """Whether the provider was asked to erase the server, and nobody knows yet that it has ended."""
        return self.reinstall_begun_at is not None and self.reinstalled_at is None

    def __str__(self) -> str:
        return f"{self.kind} {self.server_id}/{self.attempt}"
