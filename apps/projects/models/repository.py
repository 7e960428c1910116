"""Repositories at the git hosts: those of projects, and those that nobody here knows."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.projects.models.project import ForgeName, Project


class RepositoryStatus(models.TextChoices):
    """What the last listings said of a repository."""

    LISTED = "listed", _("Listed")
    MISSING = "missing", _("Missing")  # several listings in a row did not name it


class HostedRepository(Lifecycle):
    """One repository, by the id that its host gave it. Nothing is done to it because of what stands here."""

    TRANSITIONS: ClassVar = transitions(
        {
            RepositoryStatus.LISTED: [RepositoryStatus.MISSING],
            RepositoryStatus.MISSING: [RepositoryStatus.LISTED],
        }
    )

    forge = models.CharField(max_length=20, choices=ForgeName.choices)
    repository_id = models.CharField(
        max_length=100, help_text="Given by the forge; a name alone proves nothing."
    )
    project = models.ForeignKey(
        Project,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="repositories",
        help_text="Empty: nobody here knows it. It is neither taken nor deleted.",
    )
    name = models.CharField(max_length=200, help_text="As the host calls it now.")
    url = models.CharField(max_length=500, blank=True)
    status = models.CharField(
        max_length=20, choices=RepositoryStatus.choices, default=RepositoryStatus.LISTED
    )
    missed_listings = models.PositiveSmallIntegerField(
        default=0, help_text="Successful listings in a row that did not name it."
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(null=True, blank=True, help_text="When a listing last named it.")
    missing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "hosted repositories"
        constraints: ClassVar = [
            status_check(RepositoryStatus, name="repository_status_known"),
            models.CheckConstraint(condition=Q(forge__in=ForgeName.values), name="repository_forge_known"),
            models.UniqueConstraint(fields=["forge", "repository_id"], name="repository_once"),
        ]

    def __str__(self) -> str:
        return self.name
