"""Which rows deserve a look: whatever a lost message left behind."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q
from django.utils import timezone

from apps.workers.followups import FollowUp, FollowUps
from apps.workers.models import (
    ImageStatus,
    Turn,
    TurnStatus,
    Verification,
    VerificationStatus,
    Worker,
    WorkerImage,
    WorkerStatus,
)

#: A row that was looked at later than this is in somebody's hands.
_FRESH_SECONDS: Final = 3
_MOST_PER_KIND: Final = 500


def list_due(now: datetime | None = None) -> FollowUps:
    """Return the rows that are not final and were not looked at for some seconds, the oldest first."""
    before = (now or timezone.now()) - timedelta(seconds=_FRESH_SECONDS)
    unseen = Q(observed_at=None) | Q(observed_at__lt=before)
    ending = Q(removed_at__isnull=False) | ~Q(released_at=None) | Q(stop_failure__isnull=False)
    workers = (
        Worker.objects.exclude(status__in=Worker.final_statuses())
        .filter(unseen | ending | Q(status__in=[WorkerStatus.PENDING, WorkerStatus.CANCELING]))
        .order_by("created_at")
    )
    turns = Turn.objects.filter(status__in=[TurnStatus.PENDING, TurnStatus.RUNNING]).order_by("created_at")
    checks = (
        Verification.objects.exclude(status__in=Verification.final_statuses())
        .filter(unseen | Q(status=VerificationStatus.CANCELING))
        .order_by("created_at")
    )
    unbuilt = WorkerImage.objects.filter(status__in=[ImageStatus.PENDING, ImageStatus.BUILDING])
    images = unbuilt.filter(unseen).order_by("created_at")
    kinds = (("worker", workers), ("turn", turns), ("verification", checks), ("image", images))
    return [
        FollowUp(kind=kind, id=row_id)
        for kind, rows in kinds
        for row_id in rows.values_list("pk", flat=True)[:_MOST_PER_KIND]
    ]
