"""Where the workers that wait for a place stand, and how long it may take: read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F
from django.utils import timezone

from apps.workers.models import ACTIVE, Worker, WorkerStatus

#: From how many of the latest workers it is learned how long one takes.
_LEARNED_FROM: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePlace:
    """One worker's place in the line.

    Attributes:
        position: 1 is the next to start.
        length: how many wait.
        running: how many hold a place.
        limit: how many places there are.
        estimated_wait_seconds: as the latest workers went; None while nothing is known of any.
        deadline_at: when it is told that no place became free.

    """

    position: int
    length: int
    running: int
    limit: int
    estimated_wait_seconds: float | None
    deadline_at: datetime

    @property
    def is_free(self) -> bool:
        """Whether there is a place for it already, so that it only has to be taken."""
        return self.position <= self.limit - self.running


def line() -> dict[UUID, QueuePlace]:
    """Return the place of everyone who waits, the next one first."""
    waiting = list(
        Worker.objects.filter(status=WorkerStatus.PENDING, released_at=None, stop_failure__isnull=True)
        .order_by("created_at", "pk")
        .values_list("pk", "deadline_at")
    )
    if not waiting:
        return {}
    limit = settings.WORKERS_MAX_CONCURRENT
    started = list(
        Worker.objects.filter(status__in=ACTIVE, removed_at=None).values_list("started_at", flat=True)
    )
    now = timezone.now()
    ages = [(now - moment).total_seconds() if moment else 0.0 for moment in started]
    usual = _usual_seconds()
    return {
        worker_id: QueuePlace(
            position=index + 1,
            length=len(waiting),
            running=len(ages),
            limit=limit,
            estimated_wait_seconds=estimate(index, ages=ages, limit=limit, usual_seconds=usual),
            deadline_at=deadline_at,
        )
        for index, (worker_id, deadline_at) in enumerate(waiting)
    }


def estimate(index: int, *, ages: Sequence[float], limit: int, usual_seconds: float | None) -> float | None:
    """Return how long somebody in the line may wait, in seconds. Pure.

    Args:
        index: how many stand before.
        ages: of those that hold a place, in seconds.
        limit: how many places there are.
        usual_seconds: how long a worker usually holds its place; None if nobody knows.

    """
    if index < limit - len(ages):
        return 0.0
    if usual_seconds is None or not limit:
        return None
    # Places become free in the order of their age, and then again, one usual time later.
    ends = sorted(max(0.0, usual_seconds - age) for age in ages)[:limit]
    free = [0.0] * (limit - len(ends)) + ends
    rounds, place = divmod(index, limit)
    return round(free[place] + rounds * usual_seconds, 1)


def _usual_seconds() -> float | None:
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    latest = (
        Worker.objects.filter(started_at__isnull=False, finished_at__isnull=False)
        .order_by("-finished_at")
        .annotate(took=took)
        .values_list("took", flat=True)[:_LEARNED_FROM]
    )
    durations = [max(duration, timedelta()).total_seconds() for duration in latest]
    return median(durations) if durations else None
