"""Celery tasks of this app: by id, one call each."""

import logging
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db.models import Q
from django.utils import timezone

from apps.enqueue import enqueue
from apps.graph import archive, asking, executor, rollouts
from apps.graph.models import UNFINISHED, Run
from apps.periodic import recording

logger = logging.getLogger(__name__)

#: A run that nobody has looked at for so long is looked at by the sweep.
STALE_AFTER = timedelta(seconds=4)


@shared_task(name="graph.advance_run")
def advance_run(*, run_id: str) -> None:
    """Bring a run to its next wait or its end."""
    done = executor.advance(run_id=UUID(run_id))
    if done.again:
        enqueue(advance_run, run_id=run_id)
    if done.started is not None:
        enqueue(advance_run, run_id=str(done.started))


@shared_task(name="periodic.sweep_graph")
@recording.recorded("sweep_graph")
def sweep_graph(run: recording.Run) -> None:
    """Enqueue every run that nobody has looked at lately: the guarantee behind all hints."""
    with run.item("runs"):
        run.each(find_neglected(), lambda pk: enqueue(advance_run, run_id=str(pk)), name="runs")
    with run.item("rollouts"):
        unsettled = rollouts.find_unsettled()
        run.each(unsettled, lambda pk: enqueue(settle_rollouts, task_id=str(pk)), name="rollouts")
    with run.item("questions"):
        overdue = asking.find_overdue()
        run.each(overdue, lambda pk: enqueue(expire_question, question_id=str(pk)), name="questions")
    with run.item("ports"):
        run.each(archive.find_with_ports(), archive.give_ports_back, name="ports")


@shared_task(name="graph.settle_rollouts")
def settle_rollouts(*, task_id: str) -> None:
    """Report the end of workflows whose run is over."""
    rollouts.settle(UUID(task_id))


@shared_task(name="graph.expire_question")
def expire_question(*, question_id: str) -> None:
    """Close a Product Owner's question that nobody answered in time."""
    asking.expire_question(question_id=UUID(question_id))


def find_neglected() -> list[UUID]:
    """Return unfinished runs without a recent look, and final ones whose memory was not deleted yet."""
    before = timezone.now() - STALE_AFTER
    unfinished = Q(status__in=UNFINISHED) & (Q(heartbeat_at=None) | Q(heartbeat_at__lt=before))
    unforgotten = ~Q(status__in=UNFINISHED) & Q(forgotten_at=None)
    return list(
        Run.objects.filter(unfinished | unforgotten).order_by("created_at").values_list("pk", flat=True)
    )
