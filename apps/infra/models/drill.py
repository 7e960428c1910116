"""Whether what a server archives could be restored."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.infra.models.server import Server


class DrillOutcome(models.TextChoices):
    """What the last drill on a server came to."""

    PASSED = "passed", _("Passed")  # every newest archive was restored elsewhere, and is what was archived
    FAILED = "failed", _("Failed")
    EMPTY = "empty", _("Nothing to archive")


class ServerDrill(models.Model):
    """The last drill on a server. No row: there was none, which is not the same as a good one."""

    server = models.OneToOneField(Server, on_delete=models.CASCADE, related_name="drill")
    drilled_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=DrillOutcome.choices)
    projects = models.JSONField(default=dict, help_text="By project: outcome, archive, its age, its size.")
    oldest_archive_at = models.DateTimeField(
        null=True, blank=True, help_text="Of the projects' newest archives, the oldest."
    )
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(outcome__in=DrillOutcome.values), name="drill_outcome_known"),
        ]

    def __str__(self) -> str:
        return f"{self.server_id} {self.outcome}"
