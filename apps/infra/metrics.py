"""What was measured of servers, for whoever has to choose one."""

from collections.abc import Collection

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from apps.infra.fitting import Room
from apps.infra.models import PortAllocation, Server, ServerMetric


def rooms_of(servers: Collection[Server]) -> list[Room]:
    """Return what each server has: its ports, its last measurement, and what was given away since.

    Args:
        servers: locked by the current transaction, in the order of preference.

    """
    latest = {
        metric.server_id: metric
        for metric in ServerMetric.objects.filter(server__in=servers)
        .order_by("server_id", "-measured_at")
        .distinct("server_id")
    }
    taken = dict(
        PortAllocation.objects.filter(server__in=servers)
        .values_list("server_id")
        .annotate(count=Count("pk"))
        .order_by()
    )
    return [_room(server, taken.get(server.pk, 0), latest.get(server.pk)) for server in servers]


def _room(server: Server, taken: int, metric: ServerMetric | None) -> Room:
    ports = server.port_range_end - server.port_range_start + 1
    if metric is None:
        return Room(server_id=server.pk, ports=ports, free_ports=ports - taken, memory_mb=server.memory_mb)
    since = Q(server=server, allocated_at__gt=metric.measured_at)
    return Room(
        server_id=server.pk,
        ports=ports,
        free_ports=ports - taken,
        age_seconds=(timezone.now() - metric.measured_at).total_seconds(),
        memory_mb=metric.memory_total_mb,
        free_memory_mb=metric.memory_available_mb,
        free_disk_mb=metric.disk_free_mb,
        promised_mb=PortAllocation.objects.filter(since).count() * settings.SERVERS_SERVICE_MEMORY_MB,
    )
