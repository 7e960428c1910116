"""What became of each periodic job's last run."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Outcome(models.TextChoices):
    """How a run ended."""

    SUCCEEDED = "succeeded", _("Succeeded")
    PARTLY = "partly", _("Partly")  # some of its items failed
    CRASHED = "crashed", _("Crashed")  # the job itself did


class PeriodicJob(models.Model):
    """One periodic job and its last run; what was never run has no figures, which is not zero."""

    name = models.CharField(max_length=100, unique=True)
    last_started_at = models.DateTimeField(null=True, blank=True)
    last_finished_at = models.DateTimeField(null=True, blank=True, help_text="Of the last run that ended.")
    last_seconds = models.FloatField(null=True, blank=True)
    last_outcome = models.CharField(max_length=20, choices=Outcome.choices, blank=True)
    last_counts = models.JSONField(null=True, blank=True, help_text="What the last run did.")
    last_errors = models.JSONField(default=list, blank=True, help_text="Of the last run that had any.")
    last_error_at = models.DateTimeField(null=True, blank=True)
    runs = models.PositiveBigIntegerField(default=0)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    overlaps = models.PositiveBigIntegerField(
        default=0, help_text="Ticks that were left out because a run was under way or had just been."
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
