"""Which servers a new project can be put on, whoever asks: those that can be logged in to and have Docker."""

from collections.abc import Sequence

from apps.infra.models import IdentityPurpose, IdentityStatus, Server, ServerMetric, SshIdentity


def complete(servers: Sequence[Server]) -> list[Server]:
    """Return the servers that can be logged in to for deployments, in their order."""
    keys = SshIdentity.objects.filter(
        server__in=servers, purpose=IdentityPurpose.DEPLOY, status=IdentityStatus.INSTALLED
    )
    known = set(keys.values_list("server_id", flat=True))
    return [one for one in servers if one.ssh_user and one.host_key and one.pk in known]


def with_docker(servers: Sequence[Server]) -> list[Server]:
    """Return the servers on which the last measurement found Docker, in their order."""
    latest = _latest(servers)
    # Nobody counts containers where there is no Docker.
    return [one for one in servers if one.pk in latest and latest[one.pk].containers_running is not None]


def by_preference(servers: Sequence[Server]) -> list[Server]:
    """Return the complete servers: with Docker first, then those that nobody measured; or else all others."""
    found, latest = complete(servers), _latest(servers)
    proven = with_docker(found)
    unknown = [one for one in found if one.pk not in latest]
    return [*proven, *unknown] or found


def _latest(servers: Sequence[Server]) -> dict[int, ServerMetric]:
    metrics = ServerMetric.objects.filter(server__in=servers).order_by("server_id", "-measured_at")
    return {metric.server_id: metric for metric in metrics.distinct("server_id")}
