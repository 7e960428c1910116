"""Images that workers start from: one row per content, whoever asked for it and however often."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions


class ImageStatus(models.TextChoices):
    """Where an image is in its life; a row without its image begins anew."""

    PENDING = "pending", _("Pending")
    BUILDING = "building", _("Building")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


class WorkerImage(Lifecycle):
    """One image as it is wished for, and what was observed of it and of its latest build."""

    TRANSITIONS: ClassVar = transitions(
        {
            ImageStatus.PENDING: [ImageStatus.BUILDING, ImageStatus.READY, ImageStatus.FAILED],
            ImageStatus.BUILDING: [ImageStatus.READY, ImageStatus.FAILED, ImageStatus.PENDING],
            ImageStatus.READY: [ImageStatus.PENDING],  # somebody removed it
            ImageStatus.FAILED: [ImageStatus.PENDING, ImageStatus.READY],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hash = models.CharField(max_length=12, help_text="Of everything that decides its content.")
    tag = models.CharField(max_length=200, unique=True)
    agent_type = models.CharField(max_length=20, blank=True, help_text="Empty for the base image.")
    capabilities = models.JSONField(default=list)
    status = models.CharField(max_length=20, choices=ImageStatus.choices, default=ImageStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Builds since it was last wished for.")
    image_id = models.CharField(max_length=100, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True, help_text="With the layers it shares.")
    build_seconds = models.FloatField(null=True, blank=True)
    failure = models.JSONField(null=True, blank=True)
    failed_command = models.TextField(blank=True)
    log_tail = models.TextField(blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="When a worker last asked for it.")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="Of the present build.")
    observed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [status_check(ImageStatus, name="image_status_known")]
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.tag

    @property
    def unit_name(self) -> str:
        """The name of the detached process that builds it."""
        return f"image-{self.hash}"
