"""Celery tasks of this app: thin, by id, repeatable."""

import logging

from celery import shared_task

from apps.enqueue import advisory_lock, enqueue
from apps.errors import Unavailable
from apps.infra import composition, reconciler, sweep
from apps.infra.targets.base import TargetUnavailable
from apps.lifecycle import IllegalTransition
from apps.periodic.recording import Run, recorded

logger = logging.getLogger(__name__)


@shared_task(name="infra.reconcile_deployment")
def reconcile_deployment(*, deployment_id: str) -> None:
    """Take one step that brings a deployment's row and its processes together."""
    with advisory_lock("deployment", deployment_id) as obtained:
        if not obtained:
            return
        try:
            again = reconciler.reconcile_deployment(
                deployment_id=deployment_id,
                target=composition.get_target(),
                smoke=composition.get_smoke(),
                far=composition.get_server_target,
            )
        except IllegalTransition as error:
            logger.info("Deployment %s was moved by someone else: %s", deployment_id, error)
            return
        except Unavailable as error:
            # The sweep comes back to it; the row's deadline bounds how often.
            if isinstance(error, TargetUnavailable):
                sweep.put_off(deployment_id)
            logger.warning("Deployment %s has to wait: %s", deployment_id, error)
            return
    if again:
        enqueue(reconcile_deployment, deployment_id=deployment_id)


@shared_task(name="periodic.sweep_infra")
@recorded("sweep_infra")
def sweep_infra(run: Run) -> None:
    """Enqueue the deployments nobody has looked at lately, and remove jobs without an owner."""
    due = sweep.list_due()
    run.each(due, lambda pk: enqueue(reconcile_deployment, deployment_id=str(pk)), name="deployments")
    enqueue(remove_orphans)


@shared_task(name="infra.remove_orphans")
def remove_orphans() -> None:
    """Stop jobs whose deployment is settled and was cleaned up, or never existed."""
    sweep.remove_orphans(target=composition.get_target())
