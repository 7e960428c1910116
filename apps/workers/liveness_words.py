"""How alive a worker is, in the words of people."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from apps.workers.models import ACTIVE, Ground, Verdict, Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class LivenessLine:
    """One verdict as people are shown it."""

    verdict: str
    text: str
    seconds: float
    """Since when it is this verdict."""


def text_of(worker: Worker) -> str:
    """Return a worker's verdict and what it rests on, in the active language."""
    words = {"verdict": Verdict(worker.verdict).label, "ground": Ground(worker.verdict_ground).label}
    if not worker.verdict_detail:
        return _("%(verdict)s: %(ground)s") % words
    return _("%(verdict)s: %(ground)s (%(detail)s)") % {**words, "detail": worker.verdict_detail}


def find_line(*, task_id: UUID, now: datetime) -> LivenessLine | None:
    """Return how alive the worker is that works on a task; None if none does, or its part is done.

    Args:
        task_id: the task.
        now: the moment that durations are measured to.

    """
    workers = Worker.objects.filter(task_id=task_id, status__in=ACTIVE, released_at=None)
    worker = workers.order_by("-created_at").first()
    # Between turns it is the task that is worked on, and its card says by whom.
    if worker is None or worker.verdict_ground == Ground.BETWEEN_TURNS:
        return None
    seconds = max(0.0, (now - worker.verdict_since).total_seconds())
    return LivenessLine(verdict=worker.verdict, text=text_of(worker), seconds=round(seconds, 1))
