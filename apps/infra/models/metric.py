"""What was measured of servers."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from apps.infra.models.server import Server


class ServerMetric(models.Model):
    """One measurement; what could not be measured is empty, never zero. Old ones are removed."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="metrics")
    measured_at = models.DateTimeField(default=timezone.now)
    cpus = models.PositiveIntegerField(null=True, blank=True)
    load_1m = models.FloatField(null=True, blank=True)
    memory_total_mb = models.PositiveIntegerField(null=True, blank=True)
    memory_available_mb = models.PositiveIntegerField(null=True, blank=True)
    disk_total_mb = models.PositiveIntegerField(null=True, blank=True)
    disk_free_mb = models.PositiveIntegerField(null=True, blank=True)
    containers_running = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["server", "-measured_at"], name="metric_newest_of_server"),
            # Old ones go by age alone.
            models.Index(fields=["measured_at"], name="metric_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.server_id} {self.measured_at:%Y-%m-%d %H:%M:%S}"
