"""What is wrong with servers, providers and deployed projects, told once."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.infra.models.server import Server
from apps.lifecycle import Lifecycle, status_check, transitions


class IncidentSeverity(models.TextChoices):
    """How soon somebody should look."""

    WARNING = "warning", _("Warning")
    CRITICAL = "critical", _("Critical")


class IncidentStatus(models.TextChoices):
    """Whether it is over."""

    OPEN = "open", _("Open")
    RESOLVED = "resolved", _("Resolved")


class Incident(Lifecycle):
    """Something that is wrong until it is resolved.

    Its key says what is wrong with what. It is never empty, so one index keeps
    open incidents apart whatever they are about, be it a server, a project or neither.
    """

    TRANSITIONS: ClassVar = transitions(
        {IncidentStatus.OPEN: [IncidentStatus.RESOLVED], IncidentStatus.RESOLVED: []}
    )

    key = models.CharField(max_length=200, help_text="Kind and subject, such as disk_full:server:7.")
    kind = models.CharField(max_length=40)
    severity = models.CharField(
        max_length=20, choices=IncidentSeverity.choices, default=IncidentSeverity.WARNING
    )
    status = models.CharField(max_length=20, choices=IncidentStatus.choices, default=IncidentStatus.OPEN)
    server = models.ForeignKey(
        Server, null=True, blank=True, on_delete=models.PROTECT, related_name="incidents"
    )
    project_id = models.UUIDField(null=True, blank=True)
    message = models.CharField(max_length=500)
    details = models.JSONField(default=dict, blank=True)
    count = models.PositiveIntegerField(default=1, help_text="How often it was seen.")
    opened_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by_id = models.BigIntegerField(null=True, blank=True, help_text="Empty: it went by itself.")
    notified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(IncidentStatus, name="incident_status_known"),
            models.CheckConstraint(condition=~Q(key=""), name="incident_has_key"),
            models.UniqueConstraint(
                fields=["key"], condition=Q(status="open"), name="incident_once_while_open"
            ),
        ]

    def __str__(self) -> str:
        return self.key
