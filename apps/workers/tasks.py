"""Celery tasks of this app: thin, by id, repeatable."""

from celery import shared_task


@shared_task(name="workers.reconcile_worker", queue="workers")
def reconcile_worker(*, worker_id: str) -> None:
    """Take one step for a worker."""


@shared_task(name="workers.reconcile_turn", queue="workers")
def reconcile_turn(*, turn_id: str) -> None:
    """Take one step for a turn."""


@shared_task(name="workers.reconcile_verification", queue="workers")
def reconcile_verification(*, verification_id: str) -> None:
    """Take one step for a verification."""


@shared_task(name="periodic.sweep_workers", queue="periodic")
def sweep_workers() -> None:
    """Enqueue every row that is not final."""
