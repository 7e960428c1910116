"""What our rows say of a server that is erased: keys, host key, releases. All of it is gone with the disk."""

from datetime import datetime

from django.db import transaction

from apps.infra import identities
from apps.infra.models import (
    DeploymentStatus,
    PortAllocation,
    Server,
    ServerHealth,
    ServiceDeployment,
)
from apps.infra.signals import deployment_changed

_D = DeploymentStatus


def forget(server_id: int, *, now: datetime) -> None:
    """Part with it, in the transaction of the caller, who has locked the server.

    A candidate key stays: the provider was given its public part. So do the ports of projects:
    their next releases go there again.

    Args:
        server_id: which server.
        now: the time.
    """
    identities.retire_installed(server_id=server_id)
    # As the provider's systems come: its own account, at the usual port, with a host key that is new.
    Server.objects.filter(pk=server_id).update(
        host_key="",
        admin_password="",
        admin_user="root",
        ssh_port=22,
        system="",
        provisioned_at=None,
        failed_checks=0,
        health=ServerHealth.UNKNOWN,
    )
    for release in ServiceDeployment.objects.filter(server_id=server_id, removed_at=None):
        end(release, now)


def end(release: ServiceDeployment, now: datetime) -> None:
    """Record that nothing is left of a release; one that is still on its way is left alone."""
    if release.status == _D.LIVE:
        ServiceDeployment.transition(release.pk, to=_D.STOPPING)
    if release.reload().status == _D.STOPPING:
        ServiceDeployment.transition(release.pk, to=_D.STOPPED, finished_at=now)
    if release.reload().status not in ServiceDeployment.final_statuses():
        return
    PortAllocation.objects.filter(deployment=release).delete()
    ServiceDeployment.objects.filter(pk=release.pk).update(removed_at=now, environment="{}")
    transaction.on_commit(lambda: deployment_changed.send_robust(None, deployment_id=release.pk))
