"""Who may start: as many workers at once as configured, the oldest first."""

from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.workers.followups import FollowUps, again
from apps.workers.models import ACTIVE, Worker, WorkerStatus

#: A lock of the database that serialises the counting; any fixed number of our own.
_PLACES_LOCK = 7_201_640_158


@transaction.atomic
def claim_place(
    worker: Worker,
    *,
    places: int,
    seconds: float,
    to: WorkerStatus = WorkerStatus.STARTING,
    **changes: Any,
) -> bool:
    """Move a pending worker to ``starting``, or to ``building``, if there is a place for it now.

    Args:
        worker: the one that wants to start.
        places: how many workers may exist at once.
        seconds: the time it then has.
        to: its next status.
        changes: other columns written with it.

    Raises:
        IllegalTransition: somebody else moved it.

    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_PLACES_LOCK])
    if not has_place(worker, places=places):
        return False
    Worker.transition(
        worker.pk,
        to=to,
        expect=WorkerStatus.PENDING,
        deadline_at=timezone.now() + timedelta(seconds=seconds),
        **changes,
    )
    return True


def has_place(worker: Worker, *, places: int) -> bool:
    """Tell whether there is a place for a pending worker at this moment."""
    taken = Worker.objects.filter(status__in=ACTIVE, removed_at=None).count()
    return position_of(worker) < places - taken


def position_of(worker: Worker) -> int:
    """Return how many pending workers are before this one."""
    pending = Worker.objects.filter(status=WorkerStatus.PENDING, released_at=None)
    earlier = pending.filter(created_at__lt=worker.created_at)
    simultaneous = pending.filter(created_at=worker.created_at, pk__lt=worker.pk)
    return earlier.count() + simultaneous.count()


def nudge_next() -> FollowUps:
    """Return a step for the pending worker whose turn it is."""
    first = (
        Worker.objects.filter(status=WorkerStatus.PENDING, released_at=None)
        .order_by("created_at", "pk")
        .first()
    )
    return [] if first is None else [again(first)]
