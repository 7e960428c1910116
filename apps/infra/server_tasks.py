"""Celery tasks that look at servers: the tick only enqueues, the work is done by who holds the accounts."""

from typing import Final

from celery import shared_task
from django.conf import settings

from apps.enqueue import enqueue
from apps.infra import drills, health, probing, providing, provisioning, syncing
from apps.periodic.recording import Run, recorded

#: A thousand servers of which none answers: 10 s for each, 50 at once, and as long again.
_ROUND_SECONDS: Final = 400
_GRACE_SECONDS: Final = 30
#: Those that are begun within the first minutes, and the last of them to its end.
_DRILL_SECONDS: Final = 840


@shared_task(name="infra.sync_servers")
@recorded("server_sync", pause_seconds=20)
def sync_servers(run: Run) -> None:
    """Bring our rows in line with what providers list."""
    for provider in providing.list_providers():
        with run.item(provider.name):
            syncing.sync_provider(provider, managed_ids=settings.INFRA_MANAGED_SERVER_IDS, run=run)


@shared_task(
    name="infra.check_health", soft_time_limit=_ROUND_SECONDS, time_limit=_ROUND_SECONDS + _GRACE_SECONDS
)
@recorded("health_check", pause_seconds=30)
def check_health(run: Run) -> None:
    """Look at every server that is set up."""
    health.check_servers(run)


@shared_task(
    name="infra.drill_backups", soft_time_limit=_DRILL_SECONDS, time_limit=_DRILL_SECONDS + _GRACE_SECONDS
)
@recorded("backup_drill", pause_seconds=600)
def drill_backups(run: Run) -> None:
    """Have what servers archive restored on trial."""
    drills.drill_servers(run)


@shared_task(name="infra.probe_live")
@recorded("probe_deployments", pause_seconds=20)
def probe_live(run: Run) -> None:
    """Ask every service that should answer."""
    probing.probe_deployments(run)


@shared_task(name="periodic.retry_pending_provisioning")
@recorded("retry_pending_provisioning")
def retry_pending_provisioning(run: Run) -> None:
    """Ask for the set-ups that servers wait for and nobody has asked for."""
    run.count("servers", len(provisioning.request_forgotten()))


@shared_task(name="periodic.probe_deployments")
def probe_deployments() -> None:
    """Have the deployed services asked."""
    enqueue(probe_live)


@shared_task(name="periodic.backup_drill")
def backup_drill() -> None:
    """Have archives tried, on the queue of what may take long."""
    enqueue(drill_backups)


@shared_task(name="periodic.health_check")
def health_check() -> None:
    """Have the servers looked at."""
    enqueue(check_health)


@shared_task(name="periodic.server_sync")
def server_sync() -> None:
    """Have the providers asked."""
    enqueue(sync_servers)
