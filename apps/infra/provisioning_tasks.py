"""Celery tasks of set-ups; the one that runs a playbook is alone on its queue and may take long."""

from typing import Final
from uuid import UUID

from celery import shared_task

from apps.enqueue import advisory_lock, enqueue
from apps.infra import composition, provisioning_run, provisioning_sweep
from apps.infra.models import Provisioning
from apps.periodic.recording import Run, recorded

#: Beyond the playbook's own end (900 s): the first login, and what is written afterwards.
_SOFT_SECONDS: Final = 1_020
_HARD_SECONDS: Final = 1_080


@shared_task(name="infra.reconcile_provisioning", soft_time_limit=_SOFT_SECONDS, time_limit=_HARD_SECONDS)
def reconcile_provisioning(*, provisioning_id: str) -> None:
    """Carry an attempt to set a server up out, or end one whose process has died."""
    server_id = Provisioning.objects.filter(pk=provisioning_id).values_list("server_id", flat=True).first()
    if server_id is None:
        return
    with advisory_lock("provisioning", server_id) as obtained:
        if obtained:
            provisioning_run.reconcile_provisioning(
                provisioning_id=UUID(provisioning_id), tools=composition.get_provisioning_tools()
            )
    if obtained and (waiting := provisioning_sweep.next_waiting()) is not None:
        enqueue(reconcile_provisioning, provisioning_id=str(waiting))


@shared_task(name="periodic.sweep_provisioning")
@recorded("sweep_provisioning")
def sweep_provisioning(run: Run) -> None:
    """Enqueue the attempts that are due, and those whose process has died."""
    due = provisioning_sweep.claim_due()
    run.each(due, lambda pk: enqueue(reconcile_provisioning, provisioning_id=str(pk)), name="attempts")
